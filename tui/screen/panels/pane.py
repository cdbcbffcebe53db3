"""The selected agent's pane, live; looking at it does not disturb the agent."""

from __future__ import annotations

from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.strip import Strip

from tui.screen.actions.requests import TextRead, TextWanted
from tui.screen.widgets.ansi import AnsiText
from tui.screen.widgets.lines import Scrolling, Tone, line, styles_of, to_strip

_REFRESH_S = 0.5


class PaneView(Scrolling):
    """The pane's visible part, its last lines in sight; only lines that changed are drawn again."""

    agent_name: reactive[str | None] = reactive(None)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._ansi = AnsiText()
        self._reading = False
        self._problem = ""

    def on_mount(self) -> None:
        """Look twice a second while in sight."""
        self.set_interval(_REFRESH_S, self.rebuild)

    def watch_agent_name(self) -> None:
        """Another agent's pane."""
        self._ansi = AnsiText()
        self._reading = False
        self._problem = ""
        self.refresh()
        self.rebuild()

    def rebuild(self) -> None:
        """Ask for the pane's text, unless the last answer is still under way."""
        if self.display and (name := self.agent_name) is not None and not self._reading:
            self._reading = True
            self.post_message(TextWanted(self, name, lambda lab: lab.capture(name)))

    def on_text_read(self, message: TextRead) -> None:
        """The text is there."""
        message.stop()
        if message.about != self.agent_name:
            return
        self._reading = False
        if (message.problem, message.text) != (self._problem, "") and not message.text:
            self._problem = message.problem
            self.refresh()
        changed = self._ansi.update(message.text)
        width = max((strip.cell_length for strip in self._ansi.strips), default=0)
        size = Size(width, len(self._ansi.strips))
        if size != self.virtual_size:
            at_end = self.scroll_offset.y >= self.max_scroll_y
            self.virtual_size = size
            if at_end:
                self.scroll_to(y=self.max_scroll_y, animate=False)
            self.refresh()
            return
        for number in changed:
            self.refresh(Region(0, number - self.scroll_offset.y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """One line of the visible part."""
        strips = self._ansi.strips
        width = self.size.width
        if not any(strip.cell_length for strip in strips):
            return self._blank_line(y, width)
        number = self.scroll_offset.y + y
        if number >= len(strips):
            return Strip.blank(width, self.rich_style)
        left = self.scroll_offset.x
        return strips[number].crop_extend(left, left + width, self.rich_style).apply_style(self.rich_style)

    def _blank_line(self, y: int, width: int) -> Strip:
        if self.agent_name is None:
            lines = [line("The pane of the selected agent will be here, as it prints.")]
        elif self._problem:
            lines = [line(self._problem, Tone.WARN)]
        else:
            lines = [line(f"{self.agent_name} has printed nothing yet.", Tone.MUTED)]
        spans = lines[y] if y < len(lines) else ()
        return to_strip(spans, width, styles_of(self), self.rich_style)
