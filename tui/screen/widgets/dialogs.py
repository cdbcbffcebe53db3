"""Questions to the person: a yes or no, and a line of text. Texts are never read as markup."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static


class Confirm(ModalScreen[bool]):
    """A question that only `y` says yes to."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)"),
        Binding("n,escape,enter,q", "dismiss(False)"),
    ]

    def __init__(self, question: str, what_stays: str) -> None:
        super().__init__()
        self._question, self._what_stays = question, what_stays

    def compose(self) -> ComposeResult:
        """Question, what stays, keys."""
        with Vertical(classes="dialog"):
            yield Static(self._question, classes="dialog--title", markup=False)
            yield Static(self._what_stays, classes="dialog--text", markup=False)
            yield Static("[$primary]y[/] yes   [$primary]n[/] no", classes="dialog--keys")


class Ask(ModalScreen[str]):
    """One line of text; an empty one means nothing was said."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss('')")]

    def __init__(self, title: str, hint: str) -> None:
        super().__init__()
        self._title, self._hint = title, hint

    def compose(self) -> ComposeResult:
        """Title, hint, the line."""
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="dialog--title", markup=False)
            yield Static(self._hint, classes="dialog--text", markup=False)
            yield Input(compact=True)
            yield Static("[$primary]⏎[/] send   [$primary]Esc[/] leave", classes="dialog--keys")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The person has finished."""
        event.stop()
        self.dismiss(event.value.strip())
