"""From a key to the lab and back: one message that asks, one that answers, and the text that is asked for first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.message import Message
from textual.message_pump import MessagePump
from textual.screen import Screen

from tui.screen.widgets.lines import LinesView

if TYPE_CHECKING:
    from supervisor.client.lab_client import LabClient


@dataclass
class Request(Message):
    """A call on the lab, made in a thread. What it changes shows in the next snapshot.

    The person is told `line`, or the text that the call returns, or the one line of its error; with `then` the
    screen that it makes of the result is shown instead.
    """

    call: Callable[[LabClient], object]
    line: str = ""
    then: Callable[[Any], Screen[None]] | None = None


@dataclass
class TextWanted(Message):
    """A text is to be read, in a thread; it comes to the reader as a `TextRead` about the same thing."""

    reader: MessagePump
    about: object
    call: Callable[[LabClient], str]


@dataclass
class TextRead(Message):
    """The text that was to be read, or why there is none."""

    about: object
    text: str
    problem: str = ""


@dataclass
class AttachRequested(Message):
    """The person wants to see an agent's own pane."""

    agent: str


class AskedText(LinesView):
    """Lines about a text that has to be read first: `text` is "" until it is there."""

    text = ""
    _about: object = None

    def want(self, about: object, call: Callable[[LabClient], str]) -> None:
        """Show the text of this from now on; with None there is nothing to read. Asks when it is another thing."""
        if self.display and about != self._about:
            self._about, self.text = about, ""
            self.ask_again(call)

    def ask_again(self, call: Callable[[LabClient], str]) -> None:
        """The same text may be longer by now."""
        if self._about is not None:
            self.post_message(TextWanted(self, self._about, call))

    def on_text_read(self, message: TextRead) -> None:
        """The text is there; that of something that is no longer shown is dropped."""
        message.stop()
        if message.about == self._about:
            self.text = message.text or message.problem
            LinesView.rebuild(self)
