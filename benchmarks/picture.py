"""A picture of a real terminal, for the README.

`tmux -L SOCKET capture-pane -e -p -t TARGET | python -m benchmarks.picture docs/screen.svg`; for a bitmap
`rsvg-convert -w 1600 docs/screen.svg -o docs/screen.png`.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI, TerminalTheme
from rich.text import Text

BACKGROUND = (18, 22, 28)  # of the theme lab-dark
_FONT = "DejaVu Sans Mono, Menlo, Consolas, monospace"


def picture(captured: str, title: str = "autoresearch-tui") -> str:
    """The captured pane as an SVG that needs no web font and keeps its spaces."""
    text = Text.from_ansi(captured.rstrip("\n"))
    width = max(cell_len(line) for line in text.plain.split("\n"))
    console = Console(
        width=width, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(text, no_wrap=True, crop=True)
    theme = TerminalTheme(BACKGROUND, (214, 219, 226), list(DIMMED_MONOKAI.ansi_colors._colors[:8]))
    return _portable(console.export_svg(title=title, theme=theme))


def _portable(svg: str) -> str:
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: Fira Code[^;]*;", f"font-family: {_FONT};", svg)
    return svg.replace("<svg ", '<svg xml:space="preserve" ', 1).replace("&#160;", " ")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture(sys.stdin.read()), encoding="utf-8")
