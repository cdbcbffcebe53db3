"""A list with a cursor that stays on its item, whatever happens around it; only visible lines are drawn."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from tui.screen.widgets.lines import CURSOR, CURSOR_UNFOCUSED, Line, Scrolling, Tone, styles_of, to_strip

GUTTER = 2  # cells before an item: the cursor's mark and a space
_MARK = "▌ "


class Listing(Scrolling):
    """Items of one or more lines each, known by their keys.

    Subclasses call `set_items` and say what an item's lines are; the cursor is the screen's, not the lab's.
    """

    @dataclass
    class CursorMoved(Message):
        """Another item of the list is selected."""

        listing: Listing

    @dataclass
    class Opened(Message):
        """The person clicked twice on the item under the cursor."""

    head_lines = 0  # lines at the top that do not scroll
    cursor: reactive[str | None] = reactive(None, init=False)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._keys: Sequence[str] = ()
        self._starts: list[int] = [0]  # the line where each item starts, and the end

    def item(self, index: int, width: int) -> Sequence[Line]:
        """The lines of an item, for `width` cells."""
        raise NotImplementedError

    def head(self, width: int) -> Sequence[Line]:
        """The lines above the items."""
        return ()

    def empty(self, width: int) -> Sequence[Line]:
        """What to show while there is no item: what will be here, and the key that starts it."""
        return ()

    def set_items(self, keys: Sequence[str], heights: Sequence[int] | None = None) -> None:
        """Take the items in their new order; the cursor stays on its key, or near where it was."""
        index = self.cursor_index or 0
        self._keys = keys
        self._starts = list(range(len(keys) + 1)) if heights is None else [0, *accumulate(heights)]
        size = Size(self._width, self.head_lines + self._starts[-1])
        if size != self.virtual_size:
            self.virtual_size = size
            if self.styles.is_auto_height:
                self.refresh(layout=True)
        if self.cursor not in keys:
            self.cursor = keys[min(index, len(keys) - 1)] if keys else None
        self._show_cursor()
        self.refresh()

    @property
    def cursor_index(self) -> int | None:
        """Where the cursor is among the items."""
        try:
            return self._keys.index(self.cursor) if self.cursor is not None else None
        except ValueError:
            return None

    def watch_cursor(self) -> None:
        """Keep the cursor in sight, and say that it moved."""
        self._show_cursor()
        self.refresh()
        self.post_message(self.CursorMoved(self))

    def move(self, lines: int) -> None:
        """Move the cursor by some items."""
        if self._keys:
            index = self.cursor_index
            target = 0 if index is None else index + lines
            self.cursor = self._keys[min(max(target, 0), len(self._keys) - 1)]

    def move_to_end(self, end: bool) -> None:
        """Move the cursor to the last item, or to the first."""
        if self._keys:
            self.cursor = self._keys[-1 if end else 0]

    @property
    def page(self) -> int:
        """How many items a page has, about."""
        return max(1, self.size.height - self.head_lines - 1)

    def render_line(self, y: int) -> Strip:
        """One line of the visible part."""
        width = self._width
        if not self._keys:
            lines = self.empty(width - GUTTER)
            return self._strip(lines[y] if y < len(lines) else (), False)
        if y < self.head_lines:
            return self._strip(self.head(width - GUTTER)[y], False)
        number = self.scroll_offset.y + y - self.head_lines
        if number >= self._starts[-1]:
            return Strip.blank(width, self.rich_style)
        index = bisect_right(self._starts, number) - 1
        spans = self.item(index, width - GUTTER)[number - self._starts[index]]
        return self._strip(spans, self._keys[index] == self.cursor)

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width

    def _strip(self, spans: Line, under_cursor: bool) -> Strip:
        base = self.rich_style
        if under_cursor:
            name = CURSOR if self.has_focus else CURSOR_UNFOCUSED
            base += self.get_component_rich_style(name, partial=True)
        mark = (
            (_MARK, Tone.KEY if self.has_focus else Tone.FAINT)
            if under_cursor
            else (" " * GUTTER, Tone.PLAIN)
        )
        return to_strip((mark, *spans), self._width, styles_of(self), base)

    def _show_cursor(self) -> None:
        index = self.cursor_index
        height = self.size.height - self.head_lines
        if index is None or height <= 0:
            return
        first, end = self._starts[index], self._starts[index + 1]
        top = self.scroll_offset.y
        if first < top:
            self.scroll_to(y=first, animate=False)
        elif end > top + height:
            self.scroll_to(y=end - height, animate=False)

    def on_resize(self) -> None:
        """A smaller widget still shows its cursor."""
        self._show_cursor()

    def on_focus(self) -> None:
        """The cursor looks different in the focus."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor looks different out of the focus."""
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the clicked item; a second click opens it."""
        number = self.scroll_offset.y + event.get_content_offset_capture(self).y - self.head_lines
        if 0 <= number < self._starts[-1]:
            self.cursor = self._keys[bisect_right(self._starts, number) - 1]
            if event.chain == 2:
                self.post_message(self.Opened())
