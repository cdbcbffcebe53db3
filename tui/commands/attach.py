"""`attach`: an agent's pane, in this terminal."""

from __future__ import annotations

import sys

import click

from supervisor.errors import LabError
from supervisor.lab.paths import Lab
from tui.commands.command_line import Command
from tui.commands.options import lab_options
from tui.lab_access.lab import attach as attach_pane
from tui.lab_access.lab import launched


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui attach                the chief's pane",
        "autoresearch-tui attach junior-2       watch it, or type to steer it",
        "autoresearch-tui attach supervisor     what the supervisor says",
    ),
)
@click.argument("agent", metavar="[AGENT]", default="chief")
@lab_options
def attach(lab: Lab, agent: str) -> None:
    """Show an agent's pane in this terminal. Ctrl-q or F12 leaves it; the agent goes on."""
    launched(lab)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise LabError("attach needs a terminal; `autoresearch-tui status` and `log` work without one")
    status = attach_pane(lab, agent)
    if status:
        raise LabError(
            f"the pane of {agent} was left with exit code {status}; `autoresearch-tui doctor` looks closer"
        )
