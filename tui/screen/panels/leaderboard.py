"""The leaderboard: measured experiments in their ranks, and below them everything else that was tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from textual.reactive import reactive

from supervisor.analysis.leaderboard import Row, leaderboard
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import LabSnapshot
from tui.screen.panels.verdicts import dots_span, verdict_span
from tui.screen.widgets.lines import Line, Span, Tone, prose
from tui.screen.widgets.table import Table, TableColumn
from tui.views.figures import NONE, change, flagged, gigabytes, margin, metric
from tui.views.secondary import secondary_of, title_of
from tui.views.text import plain

LEGEND = "± 95 %  ≈ inside noise  ●●● 3 fair runs  ⚑ flagged  ? not verified"


_LONGEST_NAME = 24  # of a metric, in cells
_MOST_BESIDE = 3  # secondary metrics that have a column


class Order(StrEnum):
    """How the rows are sorted; `s` goes to the next one."""

    RANK = "rank"
    NEWEST = "newest first"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class BoardRow:
    """An experiment, with its place when it has one."""

    experiment: Experiment
    place: Row | None


def board_rows(snapshot: LabSnapshot, order: Order) -> list[BoardRow]:
    """All experiments; those without a rank come after those with one when sorted by rank."""
    ranked = leaderboard(snapshot)
    places = {row.experiment.id: row for row in ranked}
    if order is Order.RANK:
        rest = [BoardRow(one, None) for one in reversed(snapshot.experiments) if one.id not in places]
        return [BoardRow(row.experiment, row) for row in ranked] + rest
    rows = [BoardRow(one, places.get(one.id)) for one in reversed(snapshot.experiments)]
    return rows if order is Order.NEWEST else sorted(rows, key=lambda row: row.experiment.agent)


class Leaderboard(Table[BoardRow]):
    """The table of experiments."""

    order: reactive[Order] = reactive(Order.RANK, init=False)

    def watch_order(self) -> None:
        """Sort anew; the cursor stays on its experiment."""
        self.rebuild()

    def sort(self) -> Order:
        """Go to the next order."""
        orders = list(Order)
        self.order = orders[(orders.index(self.order) + 1) % len(orders)]
        return self.order

    def columns(self) -> Sequence[TableColumn]:
        """The columns; a second setting brings one of its own."""
        campaign = self.snapshot.campaign if self.snapshot else None
        name = plain(campaign.metric) if campaign else "metric"
        return (
            TableColumn("#", 4, right=True),
            TableColumn(name, min(max(8, len(name)), _LONGEST_NAME), right=True),
            TableColumn("±95 %", 7, right=True, spare=1),
            TableColumn("Δ base", 7, right=True, spare=5),
            TableColumn("Δ inc", 8, right=True, spare=2),
            TableColumn("runs", 6),
            TableColumn("verdict", 8),
            TableColumn("⚑", 3 if self._has_flags else 0, spare=0 if self._has_flags else 11),
            TableColumn("agent", 9, spare=4),
            TableColumn("commit", 7, spare=7),
            TableColumn("device", 6, spare=8),
            TableColumn("GB", 4, right=True, spare=9),
            TableColumn("setting", 8, spare=6 if self._has_other_settings else 10),
            *(TableColumn(title_of(one), 9, right=True, spare=3) for one in self._beside),
            TableColumn("idea", 18, flexible=True),
        )

    def rows(self, snapshot: LabSnapshot) -> Sequence[BoardRow]:
        """Every experiment."""
        own = snapshot.campaign.setting.id if snapshot.campaign else ""
        self._has_other_settings = any(one.setting_id != own for one in snapshot.experiments)
        self._beside = secondary_of(snapshot)[:_MOST_BESIDE]
        self._has_flags = any(one.flags for one in snapshot.experiments)
        return board_rows(snapshot, self.order)

    def key(self, row: BoardRow) -> str:
        """The experiment's id."""
        return row.experiment.id

    def cells(self, row: BoardRow) -> Sequence[Span]:
        """A cell for each column."""
        one, place = row.experiment, row.place
        run = next((run for run in reversed(one.runs) if run.device), None)
        sign = self.snapshot.campaign.direction.sign if self.snapshot and self.snapshot.campaign else 1.0
        champion = place is not None and place.champion
        rank = f"★ {place.rank}" if place and champion else str(place.rank) if place else NONE
        return (
            (rank, Tone.GOOD if champion else Tone.MUTED),
            (metric(place.metric if place else None), Tone.STRONG if place else Tone.MUTED),
            (margin(place.margin if place else None), Tone.MUTED),
            (change(_times(sign, place.delta_baseline) if place else None), Tone.PLAIN),
            _incumbent_cell(place, sign),
            _runs_cell(place),
            verdict_span(one),
            (flagged(len(one.flags), place is None or place.unverified), Tone.WARN),
            (plain(one.agent) or NONE, Tone.PLAIN),
            ((one.commit or "")[:7], Tone.MUTED),
            ((run.device or "") if run else "", Tone.MUTED),
            (gigabytes(run.peak_memory_mb) if run else "", Tone.MUTED),
            (one.setting_id, Tone.MUTED),
            *((metric(one.also.get(each.name)), Tone.MUTED) for each in self._beside),
            (plain(one.title), Tone.PLAIN if place else Tone.MUTED),
        )

    def lesson(self, width: int) -> Sequence[Line]:
        """Before the first experiment."""
        if self.snapshot is None:
            return []
        return [
            *prose(
                "Every experiment will be here, the best first: its metric, how far it is from the baseline"
                " and from the commit it built on, and how many runs say so.",
                width,
            ),
            (),
            (("autoresearch-tui launch", Tone.KEY), (" measures a baseline first, three times.", Tone.PLAIN)),
        ]


def _times(sign: float, gain: float | None) -> float | None:
    return None if gain is None else sign * gain


def _runs_cell(place: Row | None) -> Span:
    if place is None:
        return ("", Tone.MUTED)
    dots, tone = dots_span(place.dots)
    return (f"{dots}{place.runs:>2}", tone)


def _incumbent_cell(place: Row | None, sign: float) -> Span:
    if place is None or place.delta_incumbent is None:
        return (f"{NONE} ", Tone.MUTED)
    text = change(sign * place.delta_incumbent)
    if place.inside_noise:
        return (f"{text}≈", Tone.MUTED)
    return (f"{text} ", Tone.GOOD if place.delta_incumbent > 0 else Tone.PLAIN)
