"""Does a gain hold on the sealed holdout, text that no agent and no training run has seen? Pure.

Both metrics come from the same runs, so what they share cancels: the share of the validation gain that is found
on the holdout is known far better than either gain. Its interval is Fieller's, with variances and covariance
pooled over all commits that have repeats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from supervisor.analysis.noise import mean
from supervisor.analysis.student_t import interval_reach
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import LabSnapshot

HOLDS_FROM = 0.5  # share of the validation gain that the holdout must be able to show
RUNS_NEEDED = 2  # with a holdout figure, of either side

Pair = tuple[float, float]  # validation and holdout metric of one run


class HoldoutVerdict(StrEnum):
    """What the holdout says to a gain."""

    CONFIRMED = "confirmed"  # there is a gain on the holdout, and it may be as large as it should be
    REFUTED = "refuted"  # less than half of the gain is there: it was a gain on the validation text
    UNKNOWN = "unknown"  # too few runs, or a gain too small to say


@dataclass(frozen=True, slots=True)
class HoldoutCheck:
    """An experiment against the baseline, on both texts; gains in the metric's unit, positive is better."""

    validation_gain: float
    holdout_gain: float
    share: float  # of the validation gain that is found on the holdout
    share_low: float  # 95 % interval; infinite where the validation gain itself is not sure
    share_high: float
    verdict: HoldoutVerdict


@dataclass(frozen=True, slots=True)
class PairedVariance:
    """Variances and covariance of one run's validation and holdout metric, pooled."""

    validation: float
    holdout: float
    both: float
    degrees: int


def pairs_of(experiment: Experiment) -> tuple[Pair, ...]:
    """Validation and holdout metric of every run that has both and was decided beforehand."""
    return tuple(
        (run.metric, run.holdout)
        for run in experiment.unbiased_runs
        if run.metric is not None and run.holdout is not None
    )


def without_holdout(experiment: Experiment) -> Experiment:
    """The experiment as agents may know it: a figure on the holdout that they saw would soon be trained on."""
    if all(run.holdout is None for run in experiment.runs):
        return experiment
    return replace(experiment, runs=tuple(replace(run, holdout=None) for run in experiment.runs))


def measures_holdout(snapshot: LabSnapshot) -> bool:
    """Whether this campaign has a sealed holdout."""
    baseline = snapshot.experiment(snapshot.baseline_id)
    return baseline is not None and bool(pairs_of(baseline))


def check_holdout(snapshot: LabSnapshot, experiment: Experiment) -> HoldoutCheck | None:
    """The experiment's gain over the baseline on both texts; None where there is nothing to compare."""
    baseline, campaign = snapshot.experiment(snapshot.baseline_id), snapshot.campaign
    if baseline is None or campaign is None or experiment.id == baseline.id:
        return None
    spread, sign = snapshot.once(_spread), campaign.direction.sign
    return compare_on_holdout(pairs_of(experiment), pairs_of(baseline), spread, sign)


def compare_on_holdout(
    candidate: Sequence[Pair], base: Sequence[Pair], spread: PairedVariance, sign: float
) -> HoldoutCheck | None:
    """Hold the runs of one commit against those of another; `sign` turns a rise of the metric into a gain."""
    if not candidate or not base:
        return None
    means = [[mean([pair[axis] for pair in side]) for side in (candidate, base)] for axis in (0, 1)]
    on_validation, on_holdout = (sign * (ours - theirs) for ours, theirs in means)
    share = on_holdout / on_validation if on_validation else math.nan
    enough = min(len(candidate), len(base)) >= RUNS_NEEDED and spread.degrees > 0
    if not enough:
        return HoldoutCheck(on_validation, on_holdout, share, -math.inf, math.inf, HoldoutVerdict.UNKNOWN)
    scale = 1 / len(candidate) + 1 / len(base)
    t = interval_reach(spread.degrees)
    low, high = _fieller(on_validation, on_holdout, spread, scale, t)
    verdict = HoldoutVerdict.UNKNOWN
    if high < HOLDS_FROM:
        verdict = HoldoutVerdict.REFUTED
    elif on_holdout > t * math.sqrt(spread.holdout * scale):
        verdict = HoldoutVerdict.CONFIRMED
    return HoldoutCheck(on_validation, on_holdout, share, low, high, verdict)


def _spread(snapshot: LabSnapshot) -> PairedVariance:
    groups = (pairs_of(experiment) for experiment in snapshot.experiments)
    return pool([group for group in groups if group])


def pool(groups: Sequence[Sequence[Pair]]) -> PairedVariance:
    """The spread within groups, each the runs of one commit."""
    sums = [0.0, 0.0, 0.0]
    degrees = 0
    for group in groups:
        centre = [mean([pair[axis] for pair in group]) for axis in (0, 1)]
        off = [(pair[0] - centre[0], pair[1] - centre[1]) for pair in group]
        for at, (one, other) in enumerate(((0, 0), (1, 1), (0, 1))):
            sums[at] += math.fsum(each[one] * each[other] for each in off)
        degrees += len(group) - 1
    validation, holdout, both = (total / max(degrees, 1) for total in sums)
    return PairedVariance(validation, holdout, both, degrees)


def _fieller(
    validation: float, holdout: float, spread: PairedVariance, scale: float, t: float
) -> tuple[float, float]:
    """The shares c for which holdout − c · validation may be zero; everything when the validation gain may be."""
    a = validation**2 - t**2 * spread.validation * scale
    b = validation * holdout - t**2 * spread.both * scale
    c = holdout**2 - t**2 * spread.holdout * scale
    if a <= 0 or validation <= 0:
        return -math.inf, math.inf
    root = math.sqrt(max(b**2 - a * c, 0.0))
    return (b - root) / a, (b + root) / a
