"""`init`: make a lab."""

from __future__ import annotations

from pathlib import Path

import click

from supervisor.init import DEFAULT_PRESET, PRESETS, init_lab
from tui.commands.running import Command
from tui.output import say


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui init mylab     a new lab in mylab/, with its first commit",
        "autoresearch-tui init           here: a new lab, or an autoresearch.toml for the repository around",
    ),
)
@click.argument("directory", metavar="[DIR]", default=".")
@click.option(
    "--preset",
    default=DEFAULT_PRESET,
    show_default=True,
    metavar="NAME",
    help="How a new lab's train.py is set: "
    + "; ".join(f"{name}: {text}" for name, text in PRESETS.items())
    + ".",
)
def init(directory: str, preset: str) -> None:
    """Make a lab.

    An empty or plain folder becomes a lab with its first commit. In an existing repository only an
    autoresearch.toml is written for what is found there, and nothing is committed.
    """
    report = init_lab(Path(directory), preset)
    if report.commit:
        say(f"a lab in {report.root}: {', '.join(report.created)} (commit {report.commit[:7]})")
        say("next: say what you want researched in program.md, then `autoresearch-tui launch`")
    else:
        say(f"wrote {report.root / report.created[0]}; nothing was committed")
        say("next: read it, then `autoresearch-tui launch`")
