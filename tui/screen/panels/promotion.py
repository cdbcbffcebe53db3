"""One promotion, from the first run to the person's answer. Leaving it stops nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.reactive import reactive

from supervisor.model.promotion import ACTIVE, ANSWERABLE, Promotion, PromotionState
from supervisor.model.snapshot import LabSnapshot
from tui.screen.actions.dialogs import Confirm, TextScreen
from tui.screen.actions.keys import DECLINE, LAND, LEAVE, TABLE, Heading, bindings, hints
from tui.screen.actions.requests import AskedText, Request
from tui.screen.panels.promotion_lines import promotion_lines
from tui.screen.widgets.lines import Line, Tone, line
from tui.views.promotion import outcome
from tui.views.text import plain

_HINTS = {
    PromotionState.EVIDENCE: hints(LAND, DECLINE, LEAVE, leave="decide later"),
    PromotionState.WAITING: hints(LAND, DECLINE, LEAVE, land="try again"),
} | dict.fromkeys(ACTIVE, hints(DECLINE, LEAVE, decline="end it", leave="leave, the measuring goes on"))


class Evidence(AskedText):
    """The promotion of that number, as the snapshot has it."""

    snapshot: reactive[LabSnapshot | None] = reactive(None)

    def __init__(self, number: int, *, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self._number = number

    @property
    def promotion(self) -> Promotion | None:
        """The promotion, once the snapshot has it."""
        promotions = self.snapshot.promotions if self.snapshot else ()
        return next((one for one in promotions if one.number == self._number), None)

    def watch_snapshot(self) -> None:
        """Its runs go on."""
        self.rebuild()

    def rebuild(self) -> None:
        """Draw anew, and read the diff when another commit is prepared."""
        if self.promotion is not None and self.promotion.commit:
            self.want(self.promotion.commit, lambda lab: lab.promotions.diff(self._number))
        super().rebuild()

    def build(self, width: int) -> Sequence[Line]:
        """The lines."""
        promotion = self.promotion
        if self.snapshot is None or promotion is None:
            return [line("reading the lab…", Tone.MUTED)]
        return promotion_lines(self.snapshot, promotion, self.text, width)


class PromotionScreen(TextScreen):
    """The evidence and the diff; `y` is only there when the evidence says yes."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(TABLE[Heading.PROMOTION])
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
        """Follow the lab, and name the keys."""
        self.watch(self.app, "snapshot", self._take)
        self._offer()

    def _take(self, snapshot: LabSnapshot | None) -> None:
        self.snapshot = snapshot

    def _offer(self) -> None:
        state = self._promotion.state if self._promotion else None
        self.query_one(Evidence).border_subtitle = _HINTS.get(state, hints(LEAVE)) if state else hints(LEAVE)

    @property
    def _promotion(self) -> Promotion | None:
        return self.query_one(Evidence).promotion

    def action_land(self) -> None:
        """The person's yes; the evidence has been on this screen."""
        if (promotion := self._promotion) and promotion.state in ANSWERABLE:
            number = self._number
            self.app.post_message(Request(lambda lab: outcome(lab.promotions.land(number), lab.promotions)))

    def action_decline(self) -> None:
        """The person's no; what was measured is not thrown away lightly."""
        promotion = self._promotion
        if promotion is None or promotion.state not in ACTIVE | ANSWERABLE:
            return
        number = self._number
        home = promotion.home.name
        stays = f"{plain(home)} stays as it is. P measures the same candidate again, from nothing."
        decline = Request(
            lambda lab: lab.promotions.decline(number),
            f"promotion {number} is declined; {home} stays as it is",
        )
        self.app.push_screen(Confirm(f"End promotion {number}?", stays, decline))
