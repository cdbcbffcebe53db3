"""One promotion, from the first run to the person's answer. Leaving it stops nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.screen import ModalScreen

from supervisor.model.promotion import ACTIVE, ANSWERABLE, Promotion, PromotionState
from supervisor.model.snapshot import LabSnapshot
from tui.screen.messages import DeclineRequested, LandRequested, PromotionDiff, ReadingDone, ReadingWanted
from tui.screen.panels.promotion_lines import promotion_lines
from tui.screen.widgets.dialogs import Confirm
from tui.screen.widgets.lines import Line, LinesView, Tone, line

_LEAVE = "[$primary]Esc[/] leave"
_KEYS = {
    PromotionState.EVIDENCE: "[$primary]y[/] put it on main   [$primary]n[/] decline   [$primary]Esc[/] decide later",
    PromotionState.WAITING: f"[$primary]y[/] try again   [$primary]n[/] decline   {_LEAVE}",
}
_KEYS_ACTIVE = "[$primary]n[/] end it   [$primary]Esc[/] leave, the measuring goes on"


class Evidence(LinesView):
    """The promotion of that number, as the snapshot has it."""

    snapshot: reactive[LabSnapshot | None] = reactive(None)

    def __init__(self, number: int, *, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self._number = number
        self._read: PromotionDiff | None = None
        self._diff = ""

    @property
    def promotion(self) -> Promotion | None:
        """The promotion, once the snapshot has it."""
        known = self.snapshot.promotions if self.snapshot else ()
        return next((one for one in known if one.number == self._number), None)

    def watch_snapshot(self) -> None:
        """Its runs go on."""
        self.rebuild()

    def rebuild(self) -> None:
        """Draw anew, and read the diff when another commit is prepared."""
        promotion = self.promotion
        wanted = PromotionDiff(self._number, promotion.commit) if promotion and promotion.commit else None
        if wanted is not None and wanted != self._read:
            self._read = wanted
            self.post_message(ReadingWanted(self, wanted))
        super().rebuild()

    def on_reading_done(self, message: ReadingDone) -> None:
        """The diff is there."""
        message.stop()
        if message.reading == self._read:
            self._diff = message.text or message.problem
            super().rebuild()

    def build(self, width: int) -> Sequence[Line]:
        """The lines."""
        promotion = self.promotion
        if self.snapshot is None or promotion is None:
            return [line("reading the lab…", Tone.MUTED)]
        return promotion_lines(self.snapshot, promotion, self._diff, width)


class PromotionScreen(ModalScreen[None]):
    """The evidence and the diff; `y` is only there when the evidence says yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "land"),
        Binding("n", "decline"),
        Binding("escape,q", "dismiss"),
        Binding("j,down", "scroll(1)"),
        Binding("k,up", "scroll(-1)"),
        Binding("pagedown,space,ctrl+d", "scroll(10)"),
        Binding("pageup,ctrl+u", "scroll(-10)"),
        Binding("home", "end(False)"),
        Binding("end,G", "end(True)"),
    ]
    snapshot: reactive[LabSnapshot | None] = reactive(None)

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def compose(self) -> ComposeResult:
        """The text."""
        text = Evidence(self._number, classes="dialog evidence").data_bind(PromotionScreen.snapshot)
        text.border_title = f"Promotion {self._number}"
        yield text

    def watch_snapshot(self) -> None:
        """Other keys may work now."""
        if self.is_mounted:
            self.call_after_refresh(self._offer)

    def on_mount(self) -> None:
        """Name the keys."""
        self._offer()

    def _offer(self) -> None:
        promotion = self._promotion
        keys = _LEAVE
        if promotion is not None:
            keys = _KEYS_ACTIVE if promotion.state in ACTIVE else _KEYS.get(promotion.state, _LEAVE)
        self.query_one(Evidence).border_subtitle = keys

    @property
    def _promotion(self) -> Promotion | None:
        return self.query_one(Evidence).promotion

    def action_land(self) -> None:
        """The person's yes; the evidence has been on this screen."""
        if (promotion := self._promotion) and promotion.state in ANSWERABLE:
            self.app.post_message(LandRequested(self._number))

    def action_decline(self) -> None:
        """The person's no; what was measured is not thrown away lightly."""
        promotion = self._promotion
        if promotion is None or promotion.state not in ACTIVE | ANSWERABLE:
            return

        def answered(sure: bool | None) -> None:
            if sure:
                self.app.post_message(DeclineRequested(self._number))

        stays = "Main stays as it is. P measures the same candidate again, from nothing."
        self.app.push_screen(Confirm(f"End promotion {self._number}?", stays), answered)

    def action_scroll(self, lines: int) -> None:
        """Move through the text."""
        self.query_one(Evidence).move(lines)

    def action_end(self, end: bool) -> None:
        """To its last line, or to its first."""
        self.query_one(Evidence).move_to_end(end)
