"""The shared notes: the list, and the one under the cursor in full."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.reactive import reactive

from supervisor.model.snapshot import LabSnapshot, Note
from tui.screen.actions.requests import AskedText
from tui.screen.widgets.lines import Line, Span, Tone, line, prose
from tui.screen.widgets.table import Table, TableColumn
from tui.views.figures import NONE, age
from tui.views.text import plain, plain_lines, wrap


class NotesTable(Table[Note]):
    """The table of notes."""

    def columns(self) -> Sequence[TableColumn]:
        """The columns."""
        return (
            TableColumn("age", 5, right=True),
            TableColumn("by", 9),
            TableColumn("on", 6, spare=1),
            TableColumn("note", 16, flexible=True),
        )

    def rows(self, snapshot: LabSnapshot) -> Sequence[Note]:
        """Newest first."""
        return snapshot.notes

    def key(self, row: Note) -> str:
        """Its id."""
        return row.id

    def cells(self, row: Note) -> Sequence[Span]:
        """A cell for each column."""
        return (
            (age(self.now - row.created_at), Tone.MUTED),
            (plain(row.author), Tone.PLAIN),
            (row.experiment_id or NONE, Tone.MUTED),
            (plain(row.title), Tone.PLAIN),
        )

    def watch_cursor(self) -> None:
        """The other half shows the note in full."""
        super().watch_cursor()
        if isinstance(self.parent, NotesPanel):
            self.parent.note_id = self.cursor

    def lesson(self, width: int) -> Sequence[Line]:
        """Before the first note."""
        if self.snapshot is None:
            return []
        return [
            *prose("What the agents learned and found worth another's time; yours are welcome too.", width),
            (),
            (("autoresearch-tui notes add", Tone.KEY), (" publishes one to everybody.", Tone.PLAIN)),
        ]


class NoteReader(AskedText):
    """One note in full."""

    note_id: reactive[str | None] = reactive(None)

    def watch_note_id(self) -> None:
        """Another note: it has to be read first."""
        note_id = self.note_id
        self.want(note_id, lambda lab: lab.note_text(str(note_id)))
        self.scroll_to(y=0, animate=False)
        self.rebuild()

    def build(self, width: int) -> Sequence[Line]:
        """Markdown as it was written; headings stand out."""
        lines: list[Line] = []
        for paragraph in plain_lines(self.text):
            indent = paragraph[: len(paragraph) - len(paragraph.lstrip())]
            tone = Tone.STRONG if paragraph.startswith("#") else Tone.PLAIN
            parts = wrap(paragraph, width - len(indent)) or [""]
            lines += [line(indent + part, tone) for part in parts]
        return lines


class NotesPanel(Vertical):
    """The table above, the text below."""

    snapshot: reactive[LabSnapshot | None] = reactive(None)
    now: reactive[float] = reactive(0.0)
    note_id: reactive[str | None] = reactive(None)

    def compose(self) -> ComposeResult:
        """Both halves."""
        yield NotesTable().data_bind(NotesPanel.snapshot, NotesPanel.now)
        yield NoteReader(classes="below").data_bind(NotesPanel.note_id)
