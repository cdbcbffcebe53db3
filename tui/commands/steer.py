"""`add`, `pause`, `resume`, `stop`, `restart`: who works, and whether."""

from __future__ import annotations

from collections.abc import Sequence

import click

from supervisor.client.lab_client import LabClient
from supervisor.model.states import Role
from tui.commands.command_line import Command
from tui.commands.options import lab_options
from tui.views.printing import say

WHOLE_LAB = "the whole lab"


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui add                          one more junior engineer",
        "autoresearch-tui add --backend offline -n 2   two more, with this backend",
    ),
)
@click.argument(
    "role", metavar="[junior|chief]", default=Role.JUNIOR.value, type=click.Choice([r.value for r in Role])
)
@click.option("--backend", metavar="B", help="What thinks for it; default: as autoresearch.toml says.")
@click.option("-n", "--count", default=1, show_default=True, type=click.IntRange(1, 64), help="How many.")
@lab_options
def add(client: LabClient, role: str, backend: str | None, count: int) -> None:
    """Hire one more agent. It starts within seconds; juniors may outnumber the devices."""
    for _ in range(count):
        name, chosen_backend = client.add_agent(Role(role), backend or "")
        say(f"{name} joins ({chosen_backend})")
    _warn_without_supervisor(client)


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui pause              the whole lab, after the current steps",
        "autoresearch-tui pause junior-2     one agent",
    ),
)
@click.argument("agents", metavar="[AGENT...]", nargs=-1)
@lab_options
def pause(client: LabClient, agents: Sequence[str]) -> None:
    """Pause agents, or the whole lab. Steps and training runs under way are finished first."""
    client.pause(agents)
    say(f"{_names(agents)}: pauses after the current step; `{_line('resume', agents)}` goes on")
    _warn_without_supervisor(client)


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui resume             the whole lab",
        "autoresearch-tui resume junior-2    one agent",
    ),
)
@click.argument("agents", metavar="[AGENT...]", nargs=-1)
@lab_options
def resume(client: LabClient, agents: Sequence[str]) -> None:
    """Let paused agents, or the whole lab, go on. A stopped lab is started by `launch`."""
    client.resume(agents)
    say(f"{_names(agents)}: goes on")
    _warn_without_supervisor(client)


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui stop               the whole lab; `launch` resumes it",
        "autoresearch-tui stop junior-2      one agent; `resume junior-2` brings it back",
    ),
)
@click.argument("agents", metavar="[AGENT...]", nargs=-1)
@lab_options
def stop(client: LabClient, agents: Sequence[str]) -> None:
    """Stop agents, or the whole lab. Everything that was made stays: branches, results, notes, logs."""
    client.stop(agents)
    back = "autoresearch-tui launch" if not agents else _line("resume", agents)
    say(f"{_names(agents)}: stops; everything made stays, `{back}` goes on from there")


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui restart junior-2   end its process and start it afresh",
        "autoresearch-tui restart            every agent",
    ),
)
@click.argument("agents", metavar="[AGENT...]", nargs=-1)
@lab_options
def restart(client: LabClient, agents: Sequence[str]) -> None:
    """End agents' processes and start them afresh. Training runs go on meanwhile."""
    names = client.restart(agents)
    say(f"{', '.join(names)}: restarts")
    _warn_without_supervisor(client)


def _names(agents: Sequence[str]) -> str:
    return ", ".join(agents) or WHOLE_LAB


def _line(command: str, agents: Sequence[str]) -> str:
    return " ".join(("autoresearch-tui", command, *agents))


def _warn_without_supervisor(client: LabClient) -> None:
    if not client.snapshot().supervisor_alive:
        say("the supervisor does not run, so this waits for `autoresearch-tui launch`", style="yellow")
