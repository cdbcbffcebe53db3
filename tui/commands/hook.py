"""`hook`: what a client's hooks run. It prints nothing and never fails: either would reach the client's model."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from tui.commands.command_line import Command
from tui.commands.options import chosen_lab


class NeverRefuses(Command):
    """A command without wrong usage: exit code 2 would tell the client to stop."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's; words that make no sense are left out."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            print(f"autoresearch-tui hook: {error.format_message()}", file=sys.stderr)
            return super().parse_args(ctx, [])


@click.command(
    cls=NeverRefuses,
    hidden=True,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    examples=("autoresearch-tui hook Stop --lab /path/to/lab < event.json",),
)
@click.argument("words", metavar="[EVENT] [JSON]", nargs=-1, type=click.UNPROCESSED)
@click.option("--lab", "lab_dir", metavar="DIR", help="The lab; default: around the current folder.")
@click.option("--state-dir", metavar="DIR", help="Where its state is, when not in its .autoresearch/.")
def hook(words: Sequence[str], lab_dir: str | None, state_dir: str | None) -> None:
    """Tell the lab what an agent's client does; the event's JSON is on standard input, or the last word."""
    try:
        _record(words, lab_dir, state_dir)
    except Exception as error:  # an exit code of ours could block what the client was about to do
        print(f"autoresearch-tui hook: {type(error).__name__}: {error}", file=sys.stderr)


def _record(words: Sequence[str], lab_dir: str | None, state_dir: str | None) -> None:
    from roles.workbench import client_hooks as hooks
    from sessions.processes.marks import agent_around

    agent, event = agent_around(), words[0] if words else ""
    text = words[1] if len(words) > 1 else ""
    if not text and not sys.stdin.isatty():
        text = sys.stdin.buffer.read(hooks.INPUT_LIMIT).decode("utf-8", "replace")
    if agent:
        state = Path(state_dir) if state_dir else chosen_lab(lab_dir, None).state_dir
        try:
            hooks.record_event(state, agent, event, text)
        except Exception as error:
            hooks.log(state, agent, f"{event}: {type(error).__name__}: {error}")
