"""Lines of toned text, and the base of every widget that draws them itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Protocol, runtime_checkable

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from tui.views.text import plain, shorten, wrap


class Tone(StrEnum):
    """What a stretch of text means; the theme gives it a colour."""

    PLAIN = "plain"
    STRONG = "strong"
    MUTED = "muted"
    FAINT = "faint"
    ACCENT = "accent"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    KEY = "key"
    TITLE = "title"


Span = tuple[str, Tone]
Line = tuple[Span, ...]
Styles = Callable[[Tone], Style]

CURSOR = "tone--cursor"
CURSOR_UNFOCUSED = "tone--cursor-unfocused"
TONE_CLASSES = {f"tone--{tone}" for tone in Tone} | {CURSOR, CURSOR_UNFOCUSED}


@runtime_checkable
class Movable(Protocol):
    """What the keys that move work on: a text that scrolls, or a list with a cursor."""

    def move(self, lines: int) -> None:
        """By some lines or items."""

    def move_to_end(self, end: bool) -> None:
        """To the last one, or to the first."""

    @property
    def page(self) -> int:
        """How many of them a page has."""


def line(text: str, tone: Tone = Tone.PLAIN) -> Line:
    """A line of one tone."""
    return ((text, tone),)


def prose(text: str, width: int, tone: Tone = Tone.PLAIN) -> list[Line]:
    """A paragraph, broken to lines of at most `width` cells."""
    return [line(part, tone) for part in wrap(text, width)]


def fact(name: str, text: str, width: int, tone: Tone = Tone.PLAIN, indent: int = 10) -> list[Line]:
    """A name and, beside it, a paragraph of foreign text broken to `width` cells."""
    parts = wrap(plain(text), max(20, width - indent))
    return [
        ((f"{name if number == 0 else '':<{indent}}", Tone.MUTED), (part, tone))
        for number, part in enumerate(parts)
    ]


def width_of(spans: Iterable[Span]) -> int:
    """How many cells the spans take."""
    return sum(cell_len(text) for text, _ in spans)


def spread(left: Line, right: Line, width: int) -> Line:
    """`left` and `right` at the two ends of `width` cells; `left` is cut when both do not fit."""
    room = width - width_of(right) - (1 if right else 0)
    left = cut(left, max(0, room))
    return (*left, (" " * (width - width_of(left) - width_of(right)), Tone.PLAIN), *right)


def cut(spans: Line, width: int) -> Line:
    """The spans in at most `width` cells; a cut shows as …"""
    if width_of(spans) <= width:
        return spans
    fitting: list[Span] = []
    for text, tone in spans:
        room = width - width_of(fitting)
        if cell_len(text) >= room:
            fitting.append((shorten(text + "…", room), tone))
            break
        fitting.append((text, tone))
    return tuple(fitting)


def bar(fraction: float, width: int, tone: Tone = Tone.ACCENT) -> Line:
    """A progress bar of exactly `width` cells, to half a cell; readable without colours too."""
    halves = round(min(max(fraction, 0.0), 1.0) * width * 2)
    full, half = divmod(halves, 2)
    return (("━" * full + "╸" * half, tone), ("─" * (width - full - half), Tone.FAINT))


def to_strip(spans: Line, width: int, styles: Styles, base: Style) -> Strip:
    """The spans as a strip of exactly `width` cells."""
    segments = [Segment(text, base + styles(tone)) for text, tone in cut(spans, width) if text]
    return Strip(segments).adjust_cell_length(width, base)


def styles_of(widget: Widget) -> Styles:
    """The theme's styles for a widget that has `TONE_CLASSES`."""
    return lambda tone: widget.get_component_rich_style(f"tone--{tone}", partial=True)


class OneLine(Widget):
    """A line as wide as the screen. Subclasses say what is in it."""

    COMPONENT_CLASSES = TONE_CLASSES

    def line(self, width: int) -> Line:
        """At most `width` cells."""
        raise NotImplementedError

    def render_line(self, y: int) -> Strip:
        """The line, with a blank at both ends."""
        spans = self.line(self.size.width - 2) if y == 0 else ()
        return to_strip(((" ", Tone.PLAIN), *spans), self.size.width, styles_of(self), self.rich_style)


class Scrolling(ScrollView, can_focus=True, inherit_bindings=False):
    """What scrolls by the screen's keys; see `Movable`."""

    COMPONENT_CLASSES = TONE_CLASSES

    def move(self, lines: int) -> None:
        """Scroll by some lines."""
        self.scroll_to(y=self.scroll_offset.y + lines, animate=False)

    def move_to_end(self, end: bool) -> None:
        """Scroll to the last line, or to the first."""
        self.scroll_to(y=self.max_scroll_y if end else 0, animate=False)

    @property
    def page(self) -> int:
        """How many lines a page has."""
        return max(1, self.size.height - 1)


class LinesView(Scrolling):
    """A text that scrolls. Subclasses build its lines for the width there is."""

    follows = False  # True: stays at the end while the end is in sight, as a log does

    def build(self, width: int) -> Sequence[Line]:
        """The lines, for `width` cells."""
        raise NotImplementedError

    def rebuild(self) -> None:
        """Draw the lines anew; the place in the text stays."""
        width = self.scrollable_content_region.width
        if not width:
            return
        at_end = self.follows and self.scroll_offset.y >= self.max_scroll_y
        self._lines = list(self.build(width))
        size = Size(width, len(self._lines))
        if size != self.virtual_size:
            self.virtual_size = size
        if at_end:
            # Only the next layout knows how far down the end is.
            self.call_after_refresh(self.scroll_end, animate=False)
        self.refresh()

    def on_resize(self) -> None:
        """The lines depend on the width."""
        self.rebuild()

    def render_line(self, y: int) -> Strip:
        """One line of the visible part."""
        lines: Sequence[Line] = getattr(self, "_lines", ())
        number = self.scroll_offset.y + y
        spans = lines[number] if number < len(lines) else ()
        return to_strip(spans, self.scrollable_content_region.width, styles_of(self), self.rich_style)
