"""`takeover`, `handback`, `try`: a person in an agent's place."""

from __future__ import annotations

import click

from supervisor.errors import LabError
from supervisor.lab.paths import Lab
from supervisor.model.states import Role, Wanted
from tui.commands.command_line import Command
from tui.commands.mcp import caller
from tui.commands.options import lab_options
from tui.lab_access import lab as lab_calls
from tui.views.printing import say


@click.command(
    cls=Command,
    examples=("autoresearch-tui takeover junior-1     then: autoresearch-tui attach junior-1",),
)
@click.argument("agent")
@lab_options
def takeover(lab: Lab, agent: str) -> None:
    """Work in a junior's place: after its current step its pane is a shell in its worktree."""
    known = lab_calls.launched(lab).agent(agent)
    if known is not None and known.role is not Role.JUNIOR:
        raise LabError(f"{agent} plans; only a junior's place can be taken")
    lab_calls.want(lab, (agent,), Wanted.TAKEN)
    say(
        f"{agent} is yours after its current step; `autoresearch-tui attach {agent}` shows its pane, a shell then"
    )


@click.command(
    cls=Command,
    examples=("autoresearch-tui handback junior-1     its loop goes on",),
)
@click.argument("agent")
@lab_options
def handback(lab: Lab, agent: str) -> None:
    """Let an agent that you took over go on. Edits that were not tried are kept aside."""
    known = lab_calls.launched(lab).agent(agent)
    if known is not None and known.wanted is not Wanted.TAKEN:
        raise LabError(f"{agent} is not taken over; `autoresearch-tui takeover {agent}` does that")
    lab_calls.want(lab, (agent,), Wanted.RUNNING)
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
def try_(lab: Lab, title: str, expectation: str, fresh: bool, name: str | None) -> None:
    """Hand over what you edited in an agent's worktree: the same guard, the same referee."""
    agent = caller(name)
    if fresh:
        say(f"laid out on {lab_calls.lay_out_afresh(lab, agent)}")
        return
    experiment, refusal = lab_calls.try_edit(lab, agent, title, expectation)
    if refusal:
        raise LabError(f"{experiment} refused: {refusal}; your edit is as you left it")
    say(f"{experiment} is handed over; `autoresearch-tui experiments {experiment}` follows it")
