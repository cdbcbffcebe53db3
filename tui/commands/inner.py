"""What the lab's own windows run; people have no need for these."""

from __future__ import annotations

import sys

import click

from supervisor.lab.paths import Lab
from tui.commands.command_line import Command
from tui.commands.options import lab_options
from tui.lab_access import lab as lab_calls


@click.command(cls=Command, hidden=True, examples=("autoresearch-tui agent junior-1",))
@click.argument("name")
@lab_options
def agent(lab: Lab, name: str) -> None:
    """One agent's loop, in its tmux pane."""
    sys.exit(lab_calls.run_agent(lab, name))


@click.command(cls=Command, hidden=True, examples=("autoresearch-tui supervise",))
@lab_options
def supervise(lab: Lab) -> None:
    """The supervisor's loop, in its tmux window."""
    sys.exit(lab_calls.run_supervisor(lab))


@click.command("_screen", cls=Command, hidden=True, examples=("autoresearch-tui _screen",))
@lab_options
def screen(lab: Lab) -> None:
    """The TUI itself, in its viewer session."""
    from tui.screen.open import run_app

    sys.exit(run_app(lab))
