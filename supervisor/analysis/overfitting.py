"""Does the research overfit to the validation text? Gains on both texts along the lineage of the best keep. Pure.

For the person only: what agents know of the holdout is no holdout any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.analysis.holdout import HoldoutCheck, HoldoutVerdict, check_holdout, pairs_of
from supervisor.analysis.lineage import lineage_of
from supervisor.analysis.noise import mean
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import Verdict


@dataclass(frozen=True, slots=True)
class LineagePoint:
    """One experiment of the lineage; gains over the baseline, in the metric's unit, positive is better."""

    experiment: Experiment
    validation_gain: float
    holdout_gain: float
    check: HoldoutCheck | None  # None for the baseline


@dataclass(frozen=True, slots=True)
class Lineage:
    """From the baseline to the best keep that was measured on the holdout."""

    steps: tuple[LineagePoint, ...]
    # The first experiment from which on less than half of the gain is on the holdout.
    overfits_since: str | None

    @property
    def last(self) -> LineagePoint:
        """The best keep."""
        return self.steps[-1]


def on_both_texts(snapshot: LabSnapshot) -> Lineage | None:
    """The lineage with its gains on both texts; None without a keep that was measured on the holdout.

    It ends at the best keep by validation, champion or not: a keep that the holdout refutes is what to look for.
    """
    baseline, campaign = snapshot.experiment(snapshot.baseline_id), snapshot.campaign
    if baseline is None or campaign is None or not pairs_of(baseline):
        return None
    keeps = [
        (mean([pair[0] for pair in pairs_of(one)]), one)
        for one in snapshot.experiments
        if one.verdict is Verdict.KEEP and one.setting_id == campaign.setting.id and pairs_of(one)
    ]
    if not keeps:
        return None
    sign = campaign.direction.sign
    best = max(keeps, key=lambda pair: sign * pair[0])[1]
    chain = [one for one in lineage_of(snapshot, best.id) if pairs_of(one)]
    steps = tuple(_step(snapshot, one) for one in chain)
    return Lineage(steps, _since(steps))


def _step(snapshot: LabSnapshot, one: Experiment) -> LineagePoint:
    check = check_holdout(snapshot, one)
    return LineagePoint(
        one, check.validation_gain if check else 0.0, check.holdout_gain if check else 0.0, check
    )


def _since(steps: tuple[LineagePoint, ...]) -> str | None:
    since = None
    for step in reversed(steps):
        if step.check is None or step.check.verdict is not HoldoutVerdict.REFUTED:
            break
        since = step.experiment.id
    return since
