"""`gc`: free what a lab can do without."""

from __future__ import annotations

import click
from rich.filesize import decimal

from supervisor.client.lab_client import LabClient
from tui.commands.command_line import Command
from tui.commands.options import json_option, lab_options
from tui.views.printing import Column, print_json, print_table, say
from tui.views.text import plain

COLUMNS = (
    Column("what"),
    Column("size", right=True),
    Column("path", wide=True),
    Column("why", wide=True, spare=1),
)


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui gc --dry-run     what would go, and how much that is",
        "autoresearch-tui gc               free it",
        "autoresearch-tui gc --json        for scripts; with --dry-run too",
    ),
)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@json_option
@lab_options
def gc(client: LabClient, dry_run: bool, as_json: bool) -> None:
    """Free benches, the logs of experiments that nothing stands on, and tmux servers in which nothing runs.

    What a run under way needs stays, and so do keeps, what was promoted, every commit, diff, brief and figure.
    Servers are those of all your labs on this machine; what their panes said is kept.
    """
    things, problems = client.reclaim(dry_run=dry_run)
    if as_json:
        print_json(
            {
                "schema": 1,
                "dry_run": dry_run,
                "freed_bytes": sum(thing.size_bytes for thing in things),
                "things": [
                    {
                        "kind": thing.kind.value,
                        "path": str(thing.path),
                        "size_bytes": thing.size_bytes,
                        "why": thing.why,
                    }
                    for thing in things
                ],
                "problems": list(problems),
            }
        )
        return
    rows = (
        (thing.kind.value, decimal(thing.size_bytes), str(thing.path), plain(thing.why)) for thing in things
    )
    if things:
        print_table(COLUMNS, rows, "")
    else:
        say("There is nothing to free.")
    for problem in problems:
        say(plain(problem), style="yellow")
    if client.is_under_way():
        say("the run is under way: its benches and logs stay; `autoresearch-tui stop` first to free them")
    if things:
        verb = "would free" if dry_run else "freed"
        say(f"{verb} {decimal(sum(thing.size_bytes for thing in things))} ({len(things)} things)")
