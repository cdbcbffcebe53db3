"""All keys, from the table of commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from tui.screen.actions.dialogs import TextScreen
from tui.screen.actions.keys import TABLE, Heading, bindings
from tui.screen.widgets.lines import Line, LinesView, Tone, line
from tui.views.text import wrap

_KEYS_WIDTH = 10
_LEGEND: tuple[tuple[str, str], ...] = (
    ("★", "the champion: the best commit whose figure rests on at least three fresh runs"),
    ("●●○", "how much a figure rests on: one run, two, three that were decided beforehand (fair runs)"),
    ("±", "half of the 95 % interval of a figure, from the noise and the runs behind it"),
    ("⚑2 ?", "two lines of it were flagged as looking like gaming; not yet verified by further runs"),
    ("≈", "inside the noise: the change may be luck"),
    ("σ", "the spread of one run's metric when nothing changes but the seed"),
    (
        "◐ ✕ ! ‖ ◷",
        "an agent waits for you, crashed, has been silent, is paused, is parked by a limit of its model",
    ),
)


class HelpText(LinesView):
    """The keys under their headings, and what the marks mean."""

    def build(self, width: int) -> Sequence[Line]:
        """The lines."""
        lines: list[Line] = []
        for heading, commands in TABLE.items():
            lines += [line(str(heading), Tone.TITLE)]
            for one in commands:
                lines += _entry(one.shown, one.help, width)
            lines.append(())
        lines.append(line("Marks", Tone.TITLE))
        for mark, text in _LEGEND:
            lines += _entry(mark, text, width)
        return lines


def _entry(mark: str, text: str, width: int) -> list[Line]:
    parts = wrap(text, max(20, width - _KEYS_WIDTH - 2))
    marks = [mark, *[""] * (len(parts) - 1)]
    return [
        ((f"  {mark:<{_KEYS_WIDTH}}", Tone.KEY), (part, Tone.PLAIN))
        for mark, part in zip(marks, parts, strict=True)
    ]


class Help(TextScreen):
    """Shown until a key closes it."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(TABLE[Heading.HELP])

    def compose(self) -> ComposeResult:
        """The text."""
        text = HelpText(classes="dialog help")
        text.border_title = "Keys"
        text.border_subtitle = "Esc closes"
        yield text
