"""`send`: a message to agents, with a receipt."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from supervisor.client.lab_client import LabClient
from supervisor.errors import LabError
from tui.commands.command_line import Command
from tui.commands.options import lab_options
from tui.views.printing import say

LOOK_EVERY_S = 0.2


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui send junior-1 'stay with depth 2 for now'",
        "autoresearch-tui send junior-1 junior-2 'smaller batches look good'",
        "autoresearch-tui send --all --wait 60 'leave the optimizer alone'",
    ),
)
@click.argument("words", metavar="AGENT... TEXT", nargs=-1, required=True)
@click.option("--all", "to_all", is_flag=True, help="To every agent; then TEXT is the only argument.")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(min=0), metavar="S", help="Wait so long for it to be read."
)
@lab_options
def send(client: LabClient, words: Sequence[str], to_all: bool, wait_s: float | None) -> None:
    """Leave a message that agents read before their next step."""
    *names, text = words
    if to_all and names:
        raise click.UsageError("with --all the text is the only argument; quote it")
    if not to_all and not names:
        raise click.UsageError("name an agent and a text, or use --all")
    if not text.strip():
        raise click.UsageError("the text is empty")
    agents = [agent.name for agent in client.launched().agents] if to_all else list(dict.fromkeys(names))
    numbers = client.send(agents, text)
    receipts = ", ".join(f"{agent} (message {number})" for agent, number in zip(agents, numbers, strict=True))
    say(f"sent to {receipts}; read before the next step")
    if wait_s is not None:
        _wait(client, dict(zip(numbers, agents, strict=True)), wait_s)


def _wait(client: LabClient, agents_by_number: dict[int, str], wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    waiting = set(agents_by_number)
    while True:
        unread = set(client.unread_messages(tuple(agents_by_number)))
        for number in sorted(waiting - unread):
            say(f"{agents_by_number[number]} has read it")
        waiting = unread
        if not waiting:
            return
        if time.monotonic() >= deadline:
            late = ", ".join(agents_by_number[number] for number in sorted(waiting))
            raise LabError(f"not read yet by {late}; it stays in their queue")
        time.sleep(LOOK_EVERY_S)
