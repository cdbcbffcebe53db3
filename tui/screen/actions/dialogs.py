"""Screens over the lab's: a yes or no, a line of text, a text to read. Foreign texts are never read as markup."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, Static

from tui.screen.actions.keys import LEAVE_LINE, MODAL_TABLE, MOVES, NO, SEND, YES, Heading, bindings, hints
from tui.screen.actions.requests import AttachRequested, Request
from tui.screen.widgets.lines import Movable

# What a key can mean: something is asked of the lab, or a screen comes first.
Verb = Request | AttachRequested | Screen[None]


class Confirm(ModalScreen[None]):
    """A question that only `y` says yes to; then the request is made."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(MODAL_TABLE[Heading.QUESTION])

    def __init__(self, question: str, what_stays: str, request: Request) -> None:
        super().__init__()
        self._question, self._what_stays, self._request = question, what_stays, request

    def compose(self) -> ComposeResult:
        """Question, what stays, keys."""
        with Vertical(classes="dialog"):
            yield Static(self._question, classes="dialog--title", markup=False)
            yield Static(self._what_stays, classes="dialog--text", markup=False)
            yield Static(hints(YES, NO), classes="dialog--keys")

    def action_yes(self) -> None:
        """Ask the lab."""
        self.app.post_message(self._request)
        self.dismiss()

    def action_no(self) -> None:
        """Ask for nothing."""
        self.dismiss()


class AskLine(ModalScreen[None]):
    """One line of text, and the request that is made of it; an empty line asks for nothing."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(MODAL_TABLE[Heading.LINE])

    def __init__(self, title: str, hint: str, request_of: Callable[[str], Request]) -> None:
        super().__init__()
        self._title, self._hint, self._request_of = title, hint, request_of

    def compose(self) -> ComposeResult:
        """Title, hint, the line."""
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="dialog--title", markup=False)
            yield Static(self._hint, classes="dialog--text", markup=False)
            yield Input(compact=True)
            yield Static(hints(SEND, LEAVE_LINE), classes="dialog--keys")

    async def action_send(self) -> None:
        """As the input's own key does."""
        await self.query_one(Input).action_submit()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The line is finished: its input reads its keys in turn, so what was typed before is in it."""
        event.stop()
        if line := event.value.strip():
            self.app.post_message(self._request_of(line))
        self.dismiss()

    def action_leave(self) -> None:
        """Ask for nothing."""
        self.dismiss()


class MovableScreen(Screen[None]):
    """A screen whose keys move the text or the list that has the focus."""

    def action_move(self, lines: int) -> None:
        """By some lines."""
        if isinstance(self.focused, Movable):
            self.focused.move(lines)

    def action_move_page(self, pages: int) -> None:
        """By a page."""
        if isinstance(self.focused, Movable):
            self.focused.move(pages * self.focused.page)

    def action_move_end(self, end: bool) -> None:
        """To the last line, or to the first."""
        if isinstance(self.focused, Movable):
            self.focused.move_to_end(end)


class TextScreen(MovableScreen, ModalScreen[None]):
    """A text over the screen, until a key closes it."""

    BINDINGS: ClassVar[list[BindingType]] = bindings((*MOVES, *MODAL_TABLE[Heading.TEXT]))

    def action_leave(self) -> None:
        """Close it."""
        self.dismiss()
