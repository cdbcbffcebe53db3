"""The campaign's progress: the metric of every experiment in the order of the verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from textual.reactive import reactive

from supervisor.leaderboard import ranked_metric
from supervisor.snapshot import Experiment, LabSnapshot
from supervisor.states import Verdict
from tui.screen.lines import Line, LinesView, prose
from tui.screen.plot import Point, plot


class ProgressPlot(LinesView):
    """The plot, as large as its panel."""

    snapshot: reactive[LabSnapshot | None] = reactive(None)

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
        return plot(points, snapshot.campaign.direction, sd, width, self.size.height)


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
