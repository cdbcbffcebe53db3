"""`rollback`: take the last promotion back."""

from __future__ import annotations

import sys

import click

from supervisor.client.lab_client import LabClient
from supervisor.errors import LabError
from supervisor.model.promotion import PromotionState
from tui.commands.command_line import Command
from tui.commands.options import json_option, lab_options
from tui.commands.promote import say_unless
from tui.views.printing import print_json
from tui.views.promotion import outcome


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui rollback         take the last promotion back, after a question",
        "autoresearch-tui rollback --yes   without a question",
    ),
)
@click.option("--yes", is_flag=True, help="Ask nothing.")
@json_option
@lab_options
def rollback(client: LabClient, yes: bool, as_json: bool) -> None:
    """Take the last promotion off its branch with a commit that reverts it; later commits of yours stay."""
    last = client.promotions.last()
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise LabError(
                f"this takes promotion {last.number} ({last.title}) off {last.home.name}; `rollback --yes` does it"
            )
        click.confirm(f"Take promotion {last.number} ({last.title}) off {last.home.name}?", abort=True)
    reverted = client.promotions.roll_back()
    if as_json:
        record = {"rollback": reverted.number, "promotion": reverted.reverts, "state": reverted.state.value}
        print_json(record | {"commit": reverted.landed_commit, "branch": reverted.branch or None})
    if reverted.state not in (PromotionState.LANDED, PromotionState.WAITING):
        raise LabError(
            f"promotion {reverted.reverts} was not taken back: {reverted.reason or reverted.state.value}"
        )
    say_unless(as_json, outcome(reverted, client.promotions))
