"""`leaderboard --holdout`: the gains on the sealed holdout, for the person only."""

from __future__ import annotations

from sessions.processes.marks import agent_around
from supervisor.analysis.overfitting import LineagePoint, on_both_texts
from supervisor.errors import LabError
from supervisor.model.snapshot import LabSnapshot
from tui.views.experiment import holdout_sentence, share_with_interval
from tui.views.figures import change
from tui.views.printing import Column, print_table, say

_COLUMNS = (
    Column("id"),
    Column("validation", right=True),
    Column("holdout", right=True),
    Column("runs", right=True, spare=1),
    Column("share of the gain"),
    Column("says"),
    Column("idea", wide=True),
)
_EMPTY = "Nothing to compare yet: the holdout is measured on the baseline and on keeps."


class ForThePersonOnly(LabError):  # noqa: N818 (reads as what it says)
    """An agent asked for figures that would be no holdout any more once agents know them."""


def refuse_agents() -> None:
    """Raise ForThePersonOnly inside an agent's window."""
    if agent := agent_around():
        raise ForThePersonOnly(
            f"holdout figures are for the person only, and this is {agent}'s window; ask in a terminal of your own"
        )


def print_holdout(snapshot: LabSnapshot) -> None:
    """Gains over the baseline on both texts, along the lineage of the best keep."""
    both = on_both_texts(snapshot)
    steps = both.steps[1:] if both else ()
    print_table(_COLUMNS, [_cells(step) for step in steps], _EMPTY)
    if both:
        say(holdout_sentence(both))


def _cells(step: LineagePoint) -> tuple[str, ...]:
    runs = sum(run.holdout is not None for run in step.experiment.runs)
    return (
        step.experiment.id,
        change(step.validation_gain),
        change(step.holdout_gain),
        str(runs),
        share_with_interval(step),
        step.check.verdict.value if step.check else "",
        step.experiment.title,
    )
