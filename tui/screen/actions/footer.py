"""The keys that work where the person is; none that does not."""

from __future__ import annotations

from collections.abc import Sequence

from textual.reactive import reactive

from tui.screen.actions.keys import KeyCommand
from tui.screen.widgets.lines import Line, OneLine, Tone, width_of

_ALWAYS = ("help", "quit")


class Footer(OneLine):
    """One line of keys; those that matter least go first as the terminal gets narrow."""

    offered: reactive[tuple[KeyCommand, ...]] = reactive(())

    def line(self, width: int) -> Line:
        """The keys that fit."""
        return footer_line(self.offered, width)


def footer_line(offered: Sequence[KeyCommand], width: int) -> Line:
    """As many keys as fit in `width` cells, help and quit at the right end."""
    commands = [one for one in offered if one.footer]
    right = _keys([one for one in commands if one.id in _ALWAYS])
    left = sorted((one for one in commands if one.id not in _ALWAYS), key=lambda one: one.footer)
    while left and width_of(_keys(left)) + width_of(right) + 3 > width:
        left.pop()
    gap = max(3, width - width_of(_keys(left)) - width_of(right))
    return (*_keys(left), (" " * gap, Tone.PLAIN), *right)


def _keys(commands: Sequence[KeyCommand]) -> Line:
    spans: Line = ()
    for command in commands:
        gap: Line = (("   ", Tone.PLAIN),) if spans else ()
        spans += (*gap, (command.shown, Tone.KEY), (f" {command.label}", Tone.MUTED))
    return spans
