"""The lab's tmux windows: showing them in this terminal, and what runs in them (`agent`, `supervise`, `_screen`)."""

from __future__ import annotations

import sys

import click

from supervisor.client.lab_client import LabClient
from supervisor.errors import LabError
from tui.commands.command_line import Command
from tui.commands.options import lab_options


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
def attach(client: LabClient, agent: str) -> None:
    """Show an agent's pane in this terminal. Ctrl-q or F12 leaves it; the agent goes on."""
    client.launched()
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise LabError("attach needs a terminal; `autoresearch-tui status` and `log` work without one")
    status = client.attach(agent)
    if status:
        raise LabError(
            f"the pane of {agent} was left with exit code {status}; `autoresearch-tui doctor` looks closer"
        )


@click.command("_screen", cls=Command, hidden=True, examples=("autoresearch-tui _screen",))
@lab_options
def screen(client: LabClient) -> None:
    """The TUI itself, in its viewer session."""
    from supervisor.lab.state_folder import prepare_state
    from tui.screen.app import run

    prepare_state(client.lab)
    sys.exit(run(client))


@click.command(cls=Command, hidden=True, examples=("autoresearch-tui agent junior-1",))
@click.argument("name")
@lab_options
def agent(client: LabClient, name: str) -> None:
    """One agent's loop, in its tmux pane."""
    from roles.loops import run_agent

    sys.exit(run_agent(client.lab, name))


@click.command(cls=Command, hidden=True, examples=("autoresearch-tui supervise",))
@lab_options
def supervise(client: LabClient) -> None:
    """The supervisor's loop, in its tmux window."""
    from supervisor.loop.supervise import supervise as run_supervisor

    sys.exit(run_supervisor(client.lab))
