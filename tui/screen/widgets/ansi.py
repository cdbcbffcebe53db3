"""A pane's captured text to styled strips: SGR codes only, everything else is dropped.

tmux is the terminal emulator; what it prints with `capture-pane -e` needs no second one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.color import Color, ColorParseError
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.views.text import plain_lines

_SGR = re.compile(r"\x1b\[([0-9;:]*)m")
_ATTRIBUTES = {
    1: Style(bold=True),
    2: Style(dim=True),
    3: Style(italic=True),
    4: Style(underline=True),
    7: Style(reverse=True),
    9: Style(strike=True),
    22: Style(bold=False, dim=False),
    23: Style(italic=False),
    24: Style(underline=False),
    27: Style(reverse=False),
    29: Style(strike=False),
}
_FOREGROUND, _BACKGROUND = 38, 48
_BASIC = (
    (30, 0, True),
    (90, 8, True),
    (40, 0, False),
    (100, 8, False),
)  # first code, first colour, foreground


class AnsiText:
    """The lines of one capture after another; a line that did not change is not parsed again."""

    def __init__(self) -> None:
        self._raw: list[tuple[str, Style]] = []
        self.strips: list[Strip] = []

    def update(self, text: str) -> list[int]:
        """Take a new capture; returns the numbers of the lines that changed."""
        raw: list[tuple[str, Style]] = []
        strips: list[Strip] = []
        changed: list[int] = []
        style = Style.null()
        for number, line in enumerate(text.rstrip("\n").split("\n")):
            before = (line, style)
            raw.append(before)
            if number < len(self._raw) and self._raw[number] == before:
                strips.append(self.strips[number])
                style = _style_after(line, style)
                continue
            segments, style = parse_line(line, style)
            strips.append(Strip(segments))
            changed.append(number)
        changed.extend(range(len(raw), len(self._raw)))
        self._raw, self.strips = raw, strips
        return changed


def parse_line(line: str, style: Style) -> tuple[list[Segment], Style]:
    """One line's segments, begun in `style`, and the style that it ends in."""
    segments = []
    position = 0
    for match in _SGR.finditer(line):
        if text := _text(line[position : match.start()]):
            segments.append(Segment(text, style))
        style = _apply(style, match[1])
        position = match.end()
    if text := _text(line[position:]):
        segments.append(Segment(text, style))
    return segments, style


def _style_after(line: str, style: Style) -> Style:
    for match in _SGR.finditer(line):
        style = _apply(style, match[1])
    return style


def _text(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(plain_lines(text))


def _apply(style: Style, codes: str) -> Style:
    numbers = iter([int(code) if code else 0 for code in re.split("[;:]", codes)])
    for code in numbers:
        if code == 0:
            style = Style.null()
        elif code in _ATTRIBUTES:
            style += _ATTRIBUTES[code]
        elif code in (_FOREGROUND, _BACKGROUND):
            style += _extended_colour(code == _FOREGROUND, numbers)
        elif code in (39, 49):
            style = _default(style, code)
        else:
            style += _basic(code)
    return style


def _basic(code: int) -> Style:
    for first, colour, foreground in _BASIC:
        if first <= code < first + 8:
            return _colour_style(Color.from_ansi(code - first + colour), foreground)
    return Style.null()


def _default(style: Style, code: int) -> Style:
    # The colour of whatever panel shows it, so none here: a terminal's default would be another black.
    colours = (None, style.bgcolor) if code == 39 else (style.color, None)
    return style.without_color + Style.from_color(*colours)


def _extended_colour(foreground: bool, numbers: Iterator[int]) -> Style:
    try:
        match next(numbers, None):
            case 5:
                return _colour_style(Color.from_ansi(next(numbers)), foreground)
            case 2:
                return _colour_style(Color.from_rgb(next(numbers), next(numbers), next(numbers)), foreground)
    except (StopIteration, ColorParseError, ValueError):
        pass
    return Style.null()


def _colour_style(color: Color, foreground: bool) -> Style:
    return Style.from_color(color if foreground else None, None if foreground else color)
