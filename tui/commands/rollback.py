"""`rollback`: take the last promotion back."""

from __future__ import annotations

import sys

import click

from supervisor.errors import LabError
from supervisor.lab.paths import Lab
from supervisor.model.promotion import PromotionState
from tui.commands.command_line import Command
from tui.commands.options import json_option, lab_options
from tui.commands.promote import say_unless
from tui.lab_access import promotions as promotion_calls
from tui.views.as_json import SCHEMA
from tui.views.printing import print_json


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui rollback         take the last promotion off main, after a question",
        "autoresearch-tui rollback --yes   without a question",
    ),
)
@click.option("--yes", is_flag=True, help="Ask nothing.")
@json_option
@lab_options
def rollback(lab: Lab, yes: bool, as_json: bool) -> None:
    """Take the last promotion off main with a commit that reverts it; later commits of yours stay."""
    last = promotion_calls.to_roll_back(lab)
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise LabError(
                f"this takes back promotion {last.number} ({last.title}); `rollback --yes` does it"
            )
        click.confirm(f"Take back promotion {last.number} ({last.title})?", abort=True)
    done = promotion_calls.roll_back(lab)
    if as_json:
        record = {"rollback": done.number, "promotion": done.reverts, "state": done.state.value}
        print_json(
            {"schema": SCHEMA} | record | {"commit": done.landed_commit, "branch": done.branch or None}
        )
    if done.state not in (PromotionState.LANDED, PromotionState.WAITING):
        raise LabError(f"promotion {done.reverts} was not taken back: {done.reason or done.state.value}")
    say_unless(as_json, promotion_calls.what_came(lab, done))
