"""`mcp`: the lab's tools for other agents, on stdio."""

from __future__ import annotations

import click

from supervisor.errors import LabError
from supervisor.lab.paths import Lab
from tui.commands.command_line import Command
from tui.commands.options import lab_options
from tui.lab_access import lab as lab_calls


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui mcp --agent junior-1     for a client that you started yourself",
        "autoresearch-tui mcp                      inside an agent's window: as that agent",
    ),
)
@click.option("--agent", "name", metavar="NAME", help="Whose place the client takes; in a window: its agent.")
@lab_options
def mcp(lab: Lab, name: str | None) -> None:
    """Serve the lab to an MCP client: brief, claim, run an experiment, wait, leaderboard, notes."""
    lab_calls.serve_mcp(lab, caller(name))


def caller(name: str | None) -> str:
    """The agent that is meant: the one whose window this is, else `--agent`. Raises LabError."""
    from sessions.processes.marks import agent_around

    around = agent_around()
    if around and name and name != around:
        raise LabError(f"this is {around}'s window; leave --agent away, or run it in a terminal of your own")
    if not around and not name:
        raise LabError("which agent? name it with --agent; `autoresearch-tui status` lists them")
    return around or str(name)
