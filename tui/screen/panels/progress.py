"""The campaign's progress: the metric of every experiment in the order of the verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest

from textual.reactive import reactive

from sessions.processes.marks import agent_around
from supervisor.analysis.leaderboard import ranked_metric
from supervisor.analysis.overfitting import Lineage, on_both_texts
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import Verdict
from tui.screen.panels.plot import Point, lineage_plot, plot
from tui.screen.widgets.lines import Line, LinesView, Tone, cut, prose, width_of

_BESIDE_WIDTH = 96  # cells from which both plots have room beside each other
_ABOVE_HEIGHT = 24
_GAP = 3


class ProgressPlot(LinesView):
    """The plot, as large as its panel."""

    snapshot: reactive[LabSnapshot | None] = reactive(None)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._is_for_person = not agent_around()

    def watch_snapshot(self) -> None:
        """There may be another point."""
        self.rebuild()

    def build(self, width: int) -> Sequence[Line]:
        """The lines."""
        snapshot = self.snapshot
        if snapshot is None:
            return []
        points = progress_points(snapshot)
        if snapshot.campaign is None or not points:
            return prose("Every experiment as a dot, the best kept one as a line, the noise around.", width)
        sd = snapshot.noise.sd if snapshot.noise else None
        campaign = snapshot.campaign
        both = on_both_texts(snapshot) if self._is_for_person else None

        def progress(columns: int, rows: int) -> list[Line]:
            return plot(points, campaign.direction, sd, columns, rows)

        if both is None:
            return progress(width, self.size.height)
        return _with_lineage(progress, both, width, self.size.height)


def _with_lineage(
    progress: Callable[[int, int], list[Line]], both: Lineage, width: int, height: int
) -> list[Line]:
    """Both plots beside each other, or one above the other, or only what the second one says."""
    if width >= _BESIDE_WIDTH:
        column = width * 3 // 5 + _GAP
        left = progress(column - _GAP, height)
        return beside(left, lineage_plot(both, width - column, height), column)
    if height >= _ABOVE_HEIGHT:
        below = lineage_plot(both, width, height * 2 // 5)
        return [*progress(width, height - len(below)), *below]
    words = lineage_plot(both, width, 2)
    return [*progress(width, height - len(words)), *words]


def beside(left: Sequence[Line], right: Sequence[Line], column: int) -> list[Line]:
    """The lines of two texts side by side, the right one from that column on."""
    lines = []
    for ours, theirs in zip_longest(left, right, fillvalue=()):
        left_part = cut(ours, column - 1)
        lines.append((*left_part, (" " * (column - width_of(left_part)), Tone.PLAIN), *theirs))
    return lines


def progress_points(snapshot: LabSnapshot) -> list[Point]:
    """The campaign's decided experiments in its own setting, from the baseline on."""
    campaign = snapshot.campaign
    if campaign is None:
        return []
    own = [one for one in snapshot.experiments if one.setting_id == campaign.setting.id and one.verdict]
    own.sort(key=lambda one: (one.decided_at or one.created_at, one.id))
    best: float | None = None
    points = []
    for one in own:
        value = ranked_metric(one)
        if value is not None and _moves_frontier(one):
            better = best is None or campaign.direction.sign * (value - best) > 0
            best = value if better else best
        assert one.verdict is not None
        points.append(Point(one.verdict, value, best))
    return points


def _moves_frontier(one: Experiment) -> bool:
    return one.verdict in (Verdict.BASELINE, Verdict.KEEP)
