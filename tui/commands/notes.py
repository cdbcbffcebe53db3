"""`notes`: the shared findings."""

from __future__ import annotations

import sys
import time

import click

from supervisor.client.lab_client import LabClient
from tui.commands.command_line import Group
from tui.commands.options import client_of, json_option, lab_flags, lab_options
from tui.views.as_json import note_record, notes_view
from tui.views.figures import age
from tui.views.printing import Column, print_json, print_table, say, say_lines

COLUMNS = (
    Column("id"),
    Column("age", right=True, spare=1),
    Column("by", spare=3),
    Column("experiment", spare=2),
    Column("title", wide=True),
)


@click.group(
    cls=Group,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND]",
    examples=(
        "autoresearch-tui notes                                newest first",
        "autoresearch-tui notes show 20261120-101500-depth-2   one of them",
        "autoresearch-tui notes add 'Depth 2 is enough' 'Width pays more, see e0012.'",
    ),
)
@json_option
@lab_flags
@click.pass_context
def notes(ctx: click.Context, as_json: bool, lab_dir: str | None, state_dir: str | None) -> None:
    """The notes that agents and people share, newest first."""
    if ctx.invoked_subcommand is not None:
        return
    all_notes = client_of(lab_dir, state_dir).snapshot().notes
    if as_json:
        print_json(notes_view(all_notes))
        return
    now = time.time()
    rows = ((n.id, age(now - n.created_at), n.author, n.experiment_id or "", n.title) for n in all_notes)
    print_table(COLUMNS, rows, "No notes yet: agents publish what is worth another agent's time.")


@notes.command("show", examples=("autoresearch-tui notes show 20261120-101500-depth-2",))
@click.argument("note_id", metavar="ID")
@json_option
@lab_options
def show(client: LabClient, note_id: str, as_json: bool) -> None:
    """One note's text."""
    text = client.note_text(note_id)
    if as_json:
        note = next(
            (note_record(note) for note in client.snapshot().notes if note.id == note_id),
            {"id": note_id},
        )
        print_json({"note": note | {"text": text}})
    else:
        say_lines(text)


@notes.command(
    "add",
    examples=(
        "autoresearch-tui notes add 'Depth 2 is enough' 'Width pays more, see e0012.'",
        "autoresearch-tui notes add 'Reading list' - < reading.md",
    ),
)
@click.argument("title")
@click.argument("text", metavar="[TEXT|-]", default="")
@click.option("--experiment", "experiment_id", metavar="ID", help="The experiment that it is about.")
@json_option
@lab_options
def add(client: LabClient, title: str, text: str, experiment_id: str | None, as_json: bool) -> None:
    """Publish a finding of yours; agents read it. TEXT - is read from standard input."""
    if not title.strip():
        raise click.UsageError("the title is empty")
    note_id = client.add_note(title, sys.stdin.read() if text == "-" else text, experiment_id)
    if as_json:
        print_json({"id": note_id})
    else:
        say(f"published {note_id}")
