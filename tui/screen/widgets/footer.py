"""The keys that work where the person is; none that does not."""

from __future__ import annotations

from collections.abc import Sequence

from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui.screen.keys import Command
from tui.screen.widgets.lines import TONE_CLASSES, Line, Tone, to_strip, width_of

_ALWAYS = ("help", "quit")


class Footer(Widget):
    """One line of keys; those that matter least go first as the terminal gets narrow."""

    COMPONENT_CLASSES = TONE_CLASSES
    offered: reactive[tuple[Command, ...]] = reactive(())

    def render_line(self, y: int) -> Strip:
        """The line."""
        width = self.size.width
        spans = footer_line(self.offered, width - 2) if y == 0 else ()
        return to_strip(
            ((" ", Tone.PLAIN), *spans),
            width,
            lambda tone: self.get_component_rich_style(f"tone--{tone}", partial=True),
            self.rich_style,
        )


def footer_line(offered: Sequence[Command], width: int) -> Line:
    """As many keys as fit in `width` cells, help and quit at the right end."""
    shown = [one for one in offered if one.footer]
    right = _keys([one for one in shown if one.id in _ALWAYS])
    left = sorted((one for one in shown if one.id not in _ALWAYS), key=lambda one: one.footer)
    while left and width_of(_keys(left)) + width_of(right) + 3 > width:
        left.pop()
    gap = max(3, width - width_of(_keys(left)) - width_of(right))
    return (*_keys(left), (" " * gap, Tone.PLAIN), *right)


def _keys(commands: Sequence[Command]) -> Line:
    spans: Line = ()
    for command in commands:
        gap: Line = (("   ", Tone.PLAIN),) if spans else ()
        spans += (*gap, (command.shown, Tone.KEY), (f" {command.label}", Tone.MUTED))
    return spans
