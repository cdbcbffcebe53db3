"""The branches: each junior's chain of keeps, newest first, down to the baseline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from supervisor.analysis.leaderboard import dots
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import Verdict
from tui.screen.panels.verdicts import dots_span
from tui.screen.widgets.lines import Line, Span, Tone, prose
from tui.screen.widgets.table import Table, TableColumn
from tui.views.figures import NONE, age, change, metric
from tui.views.text import plain


@dataclass(frozen=True, slots=True)
class BranchRow:
    """A branch (without an experiment) or one commit of it."""

    branch: str
    agent: str
    experiment: Experiment | None
    keeps: int = 0
    last: bool = False


def branch_rows(snapshot: LabSnapshot) -> list[BranchRow]:
    """Each branch followed by its keeps, newest first; branches of the present agents come first."""
    keeps: dict[str, list[Experiment]] = defaultdict(list)
    owners: dict[str, str] = {agent.branch: agent.name for agent in snapshot.agents if agent.branch}
    for one in snapshot.experiments:
        if one.verdict is Verdict.KEEP and one.branch:
            keeps[one.branch].append(one)
            owners.setdefault(one.branch, one.agent)
    rows: list[BranchRow] = []
    for branch, agent in owners.items():
        chain = sorted(keeps[branch], key=lambda one: one.decided_at or 0.0, reverse=True)
        rows.append(BranchRow(branch, agent, None, keeps=len(chain)))
        rows += [BranchRow(branch, agent, one, last=one is chain[-1]) for one in chain]
    return rows


class Branches(Table[BranchRow]):
    """The table of branches."""

    def columns(self) -> Sequence[TableColumn]:
        """The columns."""
        return (
            TableColumn("branch", 14),
            TableColumn("metric", 7, right=True),
            TableColumn("change", 7, right=True, spare=1),
            TableColumn("conf", 4, spare=2),
            TableColumn("commit", 7, spare=3),
            TableColumn("age", 5, right=True, spare=4),
            TableColumn("idea", 26, flexible=True),
        )

    def rows(self, snapshot: LabSnapshot) -> Sequence[BranchRow]:
        """Branches and their keeps."""
        return branch_rows(snapshot)

    def key(self, row: BranchRow) -> str:
        """The branch, or the experiment on it."""
        return f"{row.branch}:{row.experiment.id if row.experiment else ''}"

    def cells(self, row: BranchRow) -> Sequence[Span]:
        """A cell for each column."""
        assert self.snapshot is not None
        one = row.experiment
        if one is None:
            count = f"{row.keeps} kept" if row.keeps else "nothing kept yet"
            name = (plain(row.agent), Tone.STRONG)
            blank = ("", Tone.PLAIN)
            return (name, blank, blank, blank, blank, blank, (f"{count} · {plain(row.branch)}", Tone.MUTED))
        sign = self.snapshot.campaign.direction.sign if self.snapshot.campaign else 1.0
        champion = one.id == self.snapshot.champion_id
        mark = f"{'└' if row.last else '├'} {one.id}{' ★' if champion else ''}"
        since = age(self.now - one.decided_at) if one.decided_at else NONE
        return (
            (mark, Tone.GOOD if champion else Tone.PLAIN),
            (metric(one.metric), Tone.STRONG),
            (change(None if one.gain is None else sign * one.gain), Tone.GOOD),
            dots_span(dots(one)),
            ((one.commit or "")[:7], Tone.MUTED),
            (since, Tone.MUTED),
            (plain(one.title), Tone.PLAIN),
        )

    def lesson(self, width: int) -> Sequence[Line]:
        """Before the first junior."""
        if self.snapshot is None:
            return []
        return [
            *prose("Each junior climbs on a branch of its own; every commit on it is a keep.", width),
            (),
            (("n", Tone.KEY), (" adds a junior engineer once a run has begun.", Tone.PLAIN)),
        ]
