"""`promote`: verify what is best, then put it on the branch that the run came from."""

from __future__ import annotations

import sys

import click

from supervisor.client.lab_client import LabClient
from supervisor.errors import LabError
from supervisor.model.promotion import ACTIVE, Promotion, PromotionState
from supervisor.model.snapshot import LabSnapshot
from tui.commands.command_line import Command
from tui.commands.options import json_option, lab_options
from tui.commands.promotion_progress import watch
from tui.views.printing import print_json, say
from tui.views.promotion import outcome, promotion_view, say_evidence


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui promote                     the champion",
        "autoresearch-tui promote junior-2 --dry-run  show the evidence, land nothing",
        "autoresearch-tui promote junior-1 junior-2   stack the keeps of both",
        "autoresearch-tui promote --yes               land it without a question, if the evidence says yes",
    ),
)
@click.argument("names", metavar="[BRANCH|AGENT|COMMIT]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Measure and show the evidence; land nothing.")
@click.option("--yes", is_flag=True, help="Ask nothing. Refused when the evidence says no.")
@click.option("--cancel", is_flag=True, help="Measure it no further; the base branch stays as it is.")
@json_option
@lab_options
def promote(
    client: LabClient, names: tuple[str, ...], dry_run: bool, yes: bool, cancel: bool, as_json: bool
) -> None:
    """Measure a candidate against the branch that the run came from, on fresh seeds, and on a yes put it there.

    Nobody overrules the evidence: what it refuses is not landed. Killed at any moment, the same command goes on.
    """
    if dry_run + yes + cancel > 1:
        raise click.UsageError("--dry-run lands nothing, --yes lands, --cancel ends it: say one of them")
    if cancel:
        _end(client, client.promotions.cancel(names), as_json=as_json, dry_run=False)
        return
    number = client.promotions.promote(names).number
    while True:
        snapshot, promotion = watch(client, number, silent=as_json)
        if not as_json and promotion.state is not PromotionState.ACCEPTED:
            say_evidence(snapshot, promotion, client.promotions.diff(number))
        if dry_run or promotion.state not in (PromotionState.EVIDENCE, PromotionState.ACCEPTED):
            break
        if promotion.state is PromotionState.EVIDENCE and not _agreed(promotion, yes=yes, as_json=as_json):
            promotion = client.promotions.decline(number)
            break
        promotion = client.promotions.land(number)
        if promotion.state not in ACTIVE:
            break
        say_unless(as_json, outcome(promotion, client.promotions))
    _end(client, promotion, as_json=as_json, dry_run=dry_run)


def say_unless(silent: bool, text: str) -> None:
    """Lines for people, where people read."""
    for line in () if silent else text.splitlines():
        say(line)


def _agreed(promotion: Promotion, *, yes: bool, as_json: bool) -> bool:
    if yes:
        return True
    if as_json or not sys.stdin.isatty():
        raise LabError("the evidence says yes, and nobody can be asked here; `promote --yes` lands it")
    return click.confirm(f"Put it on {promotion.home.name}?", default=False)


def _end(client: LabClient, promotion: Promotion, *, as_json: bool, dry_run: bool) -> None:
    snapshot = client.launched()
    if as_json:
        print_json(promotion_view(snapshot, promotion))
    elif dry_run and promotion.state is PromotionState.EVIDENCE:
        say("the evidence says yes; nothing was landed. `autoresearch-tui promote` lands it")
    _tell(client, snapshot, promotion, as_json=as_json, dry_run=dry_run)


def _tell(
    client: LabClient, snapshot: LabSnapshot, promotion: Promotion, *, as_json: bool, dry_run: bool
) -> None:
    assert snapshot.campaign is not None
    match promotion.state:
        case PromotionState.LANDED | PromotionState.WAITING:
            say_unless(as_json, outcome(promotion, client.promotions))
        case PromotionState.DECLINED:
            say_unless(as_json, f"declined; {promotion.home.name} stays as it is")
        case PromotionState.CONFLICT:
            raise LabError(f"it conflicts with {promotion.home.name}: {promotion.reason}")
        case PromotionState.REFUSED if not dry_run:
            raise LabError(f"the evidence says no: {promotion.reason}")
        case _:
            pass
