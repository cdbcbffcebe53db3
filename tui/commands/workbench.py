"""A junior's place: for its own client (`mcp`), or for the person (`takeover`, `handback`, `try`)."""

from __future__ import annotations

import click

from supervisor.client.lab_client import LabClient
from supervisor.errors import LabError
from tui.commands.command_line import Command
from tui.commands.options import lab_options
from tui.views.printing import say


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui mcp --agent junior-1     for a client that you started yourself",
        "autoresearch-tui mcp                      inside an agent's window: as that agent",
    ),
)
@click.option("--agent", "name", metavar="NAME", help="Whose place the client takes; in a window: its agent.")
@lab_options
def mcp(client: LabClient, name: str | None) -> None:
    """Serve the lab to an MCP client: brief, claim, run an experiment, wait, leaderboard, notes."""
    from roles.workbench.workbench import open_workbench

    workbench = open_workbench(client, _caller(name))
    from roles.workbench.mcp_server import serve

    serve(workbench)


@click.command(
    cls=Command,
    examples=("autoresearch-tui takeover junior-1     then: autoresearch-tui attach junior-1",),
)
@click.argument("agent")
@lab_options
def takeover(client: LabClient, agent: str) -> None:
    """Work in a junior's place: after its current step its pane is a shell in its worktree."""
    client.take_over(agent)
    say(
        f"{agent} is yours after its current step; `autoresearch-tui attach {agent}` shows its pane, a shell then"
    )


@click.command(
    cls=Command,
    examples=("autoresearch-tui handback junior-1     its loop goes on",),
)
@click.argument("agent")
@lab_options
def handback(client: LabClient, agent: str) -> None:
    """Let an agent that you took over go on. Edits that were not tried are kept aside."""
    client.hand_back(agent)
    say(f"{agent}: goes on")


@click.command(
    "try",
    cls=Command,
    examples=(
        "autoresearch-tui try --title 'Depth 3' --expect 'the width pays for a third layer'",
        "autoresearch-tui try --fresh     lay the worktree out afresh",
    ),
)
@click.option("--title", default="", metavar="T", help="What was changed, in a line.")
@click.option("--expect", "expectation", default="", metavar="E", help="What it should do, and why.")
@click.option("--fresh", is_flag=True, help="Hand nothing over: lay the worktree out as the next one begins.")
@click.option("--agent", "name", metavar="NAME", help="Whose worktree; in a window: its agent's.")
@lab_options
def try_(client: LabClient, title: str, expectation: str, fresh: bool, name: str | None) -> None:
    """Hand over what you edited in an agent's worktree: the same guard, the same referee."""
    from roles.workbench.workbench import open_workbench

    workbench = open_workbench(client, _caller(name))
    if fresh:
        parent = workbench.start_afresh()
        say(f"laid out on {parent.id if parent else 'nothing: there is no baseline yet'}")
        return
    experiment, refusal = workbench.hand_over(
        title or "a person's edit", expectation or "a person's edit, to be seen"
    )
    if refusal is not None:
        raise LabError(f"{experiment.id} refused: {refusal}; your edit is as you left it")
    # What was handed over is taken out of the worktree: the next edit starts from the incumbent.
    workbench.start_afresh()
    say(f"{experiment.id} is handed over; `autoresearch-tui experiments {experiment.id}` follows it")


def _caller(name: str | None) -> str:
    """The agent that is meant: the one whose window this is, else `--agent`. Raises LabError."""
    from sessions.processes.marks import agent_around

    around = agent_around()
    if around and name and name != around:
        raise LabError(f"this is {around}'s window; leave --agent away, or run it in a terminal of your own")
    if not around and not name:
        raise LabError("which agent? name it with --agent; `autoresearch-tui status` lists them")
    return around or str(name)
