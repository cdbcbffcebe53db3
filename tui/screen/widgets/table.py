"""A table of any number of rows: columns of fixed width, so that nothing jumps; one takes the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from textual.reactive import reactive

from supervisor.model.snapshot import LabSnapshot
from tui.screen.widgets.lines import Line, Span, Tone, prose
from tui.screen.widgets.listing import Listing
from tui.views.text import fit, plain

RowT = TypeVar("RowT")
_GAP = 2


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column. The widest one takes what the others leave."""

    title: str
    width: int  # in cells; of the flexible one: the least
    right: bool = False
    flexible: bool = False
    spare: int = 0  # columns of the largest number go first when there is too little room


class Table(Listing, Generic[RowT]):
    """Rows made from the snapshot; subclasses say how. Filtered by `filter_text`."""

    head_lines = 1
    snapshot: reactive[LabSnapshot | None] = reactive(None)
    now: reactive[float] = reactive(0.0)
    filter_text: reactive[str] = reactive("")

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: Sequence[RowT] = ()

    def columns(self) -> Sequence[TableColumn]:
        """The columns, in order."""
        raise NotImplementedError

    def rows(self, snapshot: LabSnapshot) -> Sequence[RowT]:
        """The rows, in order."""
        raise NotImplementedError

    def key(self, row: RowT) -> str:
        """What a row is known by."""
        raise NotImplementedError

    def cells(self, row: RowT) -> Sequence[Span]:
        """A cell for each column."""
        raise NotImplementedError

    def lesson(self, width: int) -> Sequence[Line]:
        """What to show while there is no row: what will be here, and the key that starts it."""
        return ()

    def empty(self, width: int) -> Sequence[Line]:
        """The lesson, or that the filter hides everything."""
        if self.filter_text:
            return prose(f"No row contains “{plain(self.filter_text)}”. Esc shows all.", width, Tone.MUTED)
        return self.lesson(width)

    def watch_snapshot(self) -> None:
        """Rows come from the snapshot."""
        self.rebuild()

    def watch_filter_text(self) -> None:
        """Show the rows that contain the text."""
        self.rebuild()

    def rebuild(self) -> None:
        """Make the rows anew."""
        rows = self.rows(self.snapshot) if self.snapshot else ()
        if needle := self.filter_text.casefold():
            rows = [row for row in rows if needle in self._haystack(row)]
        self._rows = rows
        self.set_items([self.key(row) for row in rows])

    def row_under_cursor(self) -> RowT | None:
        """The selected row."""
        index = self.cursor_index
        return None if index is None else self._rows[index]

    def head(self, width: int) -> Sequence[Line]:
        """The columns' titles."""
        indices, widths = self._fitting(width)
        columns = self.columns()
        return [
            self._join(
                [(columns[i].title, Tone.MUTED) for i in indices], [columns[i] for i in indices], widths
            )
        ]

    def item(self, index: int, width: int) -> Sequence[Line]:
        """A row."""
        indices, widths = self._fitting(width)
        cells = self.cells(self._rows[index])
        columns = self.columns()
        return [self._join([cells[i] for i in indices], [columns[i] for i in indices], widths)]

    def _haystack(self, row: RowT) -> str:
        return " ".join(text for text, _ in self.cells(row)).casefold()

    def _fitting(self, width: int) -> tuple[list[int], list[int]]:
        """Which columns are shown in `width` cells, and how wide."""
        columns = self.columns()
        indices = list(range(len(columns)))
        while _needed(columns, indices) > width and any(columns[i].spare for i in indices):
            indices.remove(max(indices, key=lambda i: columns[i].spare))
        room = max(0, width - _needed(columns, indices))
        return indices, [columns[i].width + (room if columns[i].flexible else 0) for i in indices]

    @staticmethod
    def _join(cells: Sequence[Span], columns: Sequence[TableColumn], widths: Sequence[int]) -> Line:
        spans: list[Span] = []
        for (text, tone), column, width in zip(cells, columns, widths, strict=True):
            spans.append(((" " * _GAP if spans else "") + fit(text, width, column.right), tone))
        return tuple(spans)


def _needed(columns: Sequence[TableColumn], indices: Sequence[int]) -> int:
    return sum(columns[i].width + _GAP for i in indices) - _GAP
