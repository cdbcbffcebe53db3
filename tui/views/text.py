"""Text from models, logs and boxes, made safe to show: no escapes, no control characters, never too wide."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

from supervisor.text import ESCAPES, UNSEEN

_TAB_WIDTH = 4


def plain_lines(text: str) -> list[str]:
    """The text's lines; of a line that was overwritten with carriage returns, what was written last."""
    lines = []
    for line in ESCAPES.sub("", text).split("\n"):
        parts = [part for part in line.split("\r") if part]
        lines.append(UNSEEN.sub("", (parts[-1] if parts else "").expandtabs(_TAB_WIDTH)))
    if lines and not lines[-1]:
        lines.pop()
    return lines


def plain(text: str) -> str:
    """The text on one line."""
    return " ".join(" ".join(plain_lines(text.replace("\r", " "))).split())


def shorten(text: str, width: int) -> str:
    """The text in at most `width` cells; a cut shows as …"""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""


def fit(text: str, width: int, right: bool = False) -> str:
    """The text in exactly `width` cells, cut with … or padded."""
    text = shorten(text, width)
    padding = " " * (width - cell_len(text))
    return padding + text if right else text + padding


def wrap(text: str, width: int) -> list[str]:
    """One paragraph broken at spaces into lines of at most `width` cells; long words are cut."""
    lines, line = [], ""
    for word in text.split():
        while cell_len(word) > width > 0:
            if line:
                lines.append(line)
                line = ""
            head = set_cell_size(word, width).rstrip()
            lines.append(head)
            word = word[len(head) :]
        joined = f"{line} {word}" if line else word
        if cell_len(joined) > width:
            lines.append(line)
            line = word
        else:
            line = joined
    return [*lines, line] if line else lines
