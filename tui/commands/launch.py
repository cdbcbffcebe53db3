"""`launch`: start, join or resume the lab's campaign."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from supervisor.client.lab_client import LabClient
from tui.commands.command_line import Command
from tui.commands.options import lab_options
from tui.views.printing import say
from tui.views.text import plain

if TYPE_CHECKING:
    from supervisor.campaign.options import LaunchOptions


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui launch                                chief and 2 juniors, and the TUI",
        "autoresearch-tui launch --juniors 4 --hours 8          until the morning",
        "autoresearch-tui launch --devices cuda:0,cuda:1        on these devices only",
        "autoresearch-tui launch --base my-branch               a run from another branch or commit",
        "autoresearch-tui launch --headless --experiments 16    a progress bar, then the leaderboard",
    ),
)
@click.option(
    "--tag", metavar="T", help="Name of the run; its branches are autoresearch/T-<agent>. Default: the date."
)
@click.option(
    "--base",
    metavar="REV",
    help="What the run starts from. Default: what is checked out; a run that is resumed keeps its own.",
)
@click.option(
    "--juniors", type=click.IntRange(1, 64), metavar="N", help="Junior engineers; may outnumber the devices."
)
@click.option(
    "--devices", metavar="LIST", help="cpu, cpu*4, or a comma list of ids such as cuda:0. Default: every GPU."
)
@click.option("--chief", metavar="BACKEND[:MODEL]", help="What thinks for the chief.")
@click.option("--junior", metavar="BACKEND[:MODEL],…", help="What thinks for the juniors, in turn.")
@click.option(
    "--budget", "budget_s", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Training seconds."
)
@click.option(
    "--experiments",
    type=click.IntRange(1),
    metavar="N",
    help="End after N verdicts, baselines left out. The same N resumes; once they are made it is N more.",
)
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), metavar="H", help="End after H hours.")
@click.option(
    "--usd", type=click.FloatRange(min=0, min_open=True), metavar="X", help="End when thinking has cost $X."
)
@click.option(
    "--import",
    "history",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Take over a results.tsv or autoresearch.jsonl: told in briefs, never ranked with ours.",
)
@click.option(
    "--headless", is_flag=True, help="No TUI: progress here until the run ends, then the leaderboard."
)
@lab_options
def launch(
    client: LabClient,
    tag: str | None,
    base: str | None,
    juniors: int | None,
    devices: str | None,
    chief: str | None,
    junior: str | None,
    budget_s: float | None,
    experiments: int | None,
    hours: float | None,
    usd: float | None,
    history: Path | None,
    headless: bool,
) -> None:
    """Start the lab's run, join it, or resume it where it was; then open the TUI.

    The lab goes on when the TUI is closed. Limits end it: whichever is reached first.
    """
    from supervisor.campaign.options import LaunchOptions
    from tui.commands.minds import expect_minds

    expect_minds(client, tag, base, chief, junior, alone=headless)
    _launch(
        client,
        LaunchOptions(
            tag=tag,
            base=base,
            juniors=juniors,
            devices=devices,
            chief=chief,
            junior=junior,
            budget_s=budget_s,
            experiments=experiments,
            hours=hours,
            usd=usd,
            history=history,
        ),
        may_ask=not headless and sys.stdin.isatty() and sys.stdout.isatty(),
    )
    if headless:
        from tui.commands.headless import follow_to_the_end

        follow_to_the_end(client)
    elif sys.stdin.isatty() and sys.stdout.isatty():
        from tui.screen.open import open_screen

        sys.exit(open_screen(client))
    else:
        say("the lab runs; `autoresearch-tui status` tells how far, `autoresearch-tui stop` stops it")


def _launch(client: LabClient, options: LaunchOptions, *, may_ask: bool) -> None:
    """Launch; where the code is no longer what the run started from, ask which is meant. Raises LabError."""
    from supervisor.campaign.base_check import BaseMoved

    try:
        client.launch(options, say)
    except BaseMoved as moved:
        if not may_ask:
            raise
        say(plain(moved.what))
        old, new = moved.base.commit, moved.here.branch or moved.here.commit
        go_on = click.confirm(
            f"Go on with {moved.tag}? No starts a new run from {moved.here.place}", default=True
        )
        client.launch(replace(options, base=old if go_on else new), say)
