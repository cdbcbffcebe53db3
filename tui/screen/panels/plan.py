"""The plan: the hypotheses in their order, and the one under the cursor in full."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.reactive import reactive

from supervisor.model.snapshot import Hypothesis, LabSnapshot
from supervisor.model.states import HypothesisState
from tui.screen.panels.verdicts import verdict_span
from tui.screen.widgets.lines import Line, LinesView, Span, Tone, line, prose
from tui.screen.widgets.table import Table, TableColumn
from tui.views.experiment import hypothesis_facts
from tui.views.figures import NONE, change
from tui.views.text import plain

_ORDER = {
    HypothesisState.PROPOSED: 0,
    HypothesisState.CLAIMED: 1,
    HypothesisState.OPEN: 2,
    HypothesisState.TESTED: 3,
    HypothesisState.WITHDRAWN: 4,
}
_STATES: dict[HypothesisState, Span] = {
    HypothesisState.PROPOSED: ("◐ yes?", Tone.WARN),
    HypothesisState.CLAIMED: ("● taken", Tone.ACCENT),
    HypothesisState.OPEN: ("○ open", Tone.PLAIN),
    HypothesisState.TESTED: ("✓ tested", Tone.MUTED),
    HypothesisState.WITHDRAWN: ("■ dropped", Tone.MUTED),
}


class PlanTable(Table[Hypothesis]):
    """The table of hypotheses."""

    def columns(self) -> Sequence[TableColumn]:
        """The columns."""
        return (
            TableColumn("id", 5),
            TableColumn("state", 9),
            TableColumn("expect", 6, right=True, spare=2),
            TableColumn("kind", 10, spare=3),
            TableColumn("by", 9, spare=4),
            TableColumn("result", 8, spare=1),
            TableColumn("change", 28, flexible=True),
        )

    def rows(self, snapshot: LabSnapshot) -> Sequence[Hypothesis]:
        """What waits for a yes first, then what is being worked on, what is open, and what is done."""
        return sorted(snapshot.hypotheses, key=lambda one: (_ORDER[one.state], one.position))

    def key(self, row: Hypothesis) -> str:
        """Its id."""
        return row.id

    def cells(self, row: Hypothesis) -> Sequence[Span]:
        """A cell for each column."""
        assert self.snapshot is not None
        sign = self.snapshot.campaign.direction.sign if self.snapshot.campaign else 1.0
        over = row.state in (HypothesisState.TESTED, HypothesisState.WITHDRAWN)
        experiment = self.snapshot.experiment(row.experiment_id)
        return (
            (row.id, Tone.MUTED if over else Tone.STRONG),
            _STATES[row.state],
            (change(None if row.expected_gain is None else sign * row.expected_gain), Tone.MUTED),
            (plain(row.category), Tone.MUTED),
            (plain(row.claimed_by or row.author), Tone.MUTED),
            verdict_span(experiment) if experiment else (NONE, Tone.MUTED),
            (plain(row.title), Tone.MUTED if over else Tone.PLAIN),
        )

    def watch_cursor(self) -> None:
        """The other half shows the hypothesis in full."""
        super().watch_cursor()
        if isinstance(self.parent, PlanPanel):
            self.parent.hypothesis_id = self.cursor

    def lesson(self, width: int) -> Sequence[Line]:
        """Before the first hypothesis."""
        if self.snapshot is None:
            return []
        return [
            *prose("What the chief scientist wants to try, in order, each with its reason.", width),
            (),
            (("h", Tone.KEY), (" puts an idea of yours at its head once a run has begun.", Tone.PLAIN)),
        ]


class HypothesisText(LinesView):
    """One hypothesis in full."""

    snapshot: reactive[LabSnapshot | None] = reactive(None)
    hypothesis_id: reactive[str | None] = reactive(None)

    def watch_snapshot(self) -> None:
        """It may have changed."""
        self.rebuild()

    def watch_hypothesis_id(self) -> None:
        """Another one, from its beginning."""
        self.rebuild()
        self.scroll_to(y=0, animate=False)

    def build(self, width: int) -> Sequence[Line]:
        """The lines."""
        hypotheses = self.snapshot.hypotheses if self.snapshot else ()
        one = next((one for one in hypotheses if one.id == self.hypothesis_id), None)
        if one is None:
            return []
        lines: list[Line] = [((f"{one.id}  ", Tone.STRONG), (plain(one.title), Tone.STRONG)), ()]
        for title, text in (("Change", one.change), *hypothesis_facts(one)):
            if text:
                lines += [line(title, Tone.MUTED), *prose(plain(text), width), ()]
        return lines


class PlanPanel(Vertical):
    """The table above, the text below."""

    snapshot: reactive[LabSnapshot | None] = reactive(None)
    now: reactive[float] = reactive(0.0)
    hypothesis_id: reactive[str | None] = reactive(None)

    def compose(self) -> ComposeResult:
        """Both halves."""
        yield PlanTable().data_bind(PlanPanel.snapshot, PlanPanel.now)
        yield HypothesisText(classes="below").data_bind(PlanPanel.snapshot, PlanPanel.hypothesis_id)
