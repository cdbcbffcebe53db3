"""Is what is to be promoted really better than the base branch? A sequential t test on fresh seeds of both sides. Pure.

Looks are taken after 3, 4, 6, 9 and 12 runs of each side. Each asks for a p below its share of the false rate, as
the verdicts of experiments do (`supervisor.analysis.sequential_test`), first on the validation metric, then on
the holdout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from supervisor.analysis.holdout import HOLDS_FROM
from supervisor.analysis.noise import estimate_noise, mean
from supervisor.analysis.sequential_test import DecideRules, chance_if_equal, discard_from, keep_up_to
from supervisor.analysis.student_t import interval_reach
from supervisor.model.promotion import Interval
from supervisor.model.snapshot import Noise
from supervisor.model.states import Direction

LOOKS = (3, 4, 6, 9, 12)  # measured runs of each side
FAILURES = 2  # runs of one side without a metric, from which nothing is promoted
FALSE_RATE = 0.005
PRIOR_WEIGHT = 6.0  # the campaign's noise counts as at most so many repeats
HOLDOUT_FALSE_RATE = 0.01  # the validation metric stands before it
_RULES = DecideRules(false_keep_rate=FALSE_RATE, max_runs=LOOKS[-1])
_HOLDOUT_RULES = DecideRules(false_keep_rate=HOLDOUT_FALSE_RATE, max_runs=LOOKS[-1])


class Answer(StrEnum):
    """What the evidence says."""

    YES = "yes"
    NO = "no"
    MORE = "more"  # runs are needed


@dataclass(frozen=True, slots=True)
class Side:
    """What was measured of one side."""

    metrics: tuple[float, ...] = ()
    holdouts: tuple[float, ...] = ()  # as many as metrics, or none where the lab has no holdout
    failures: tuple[str, ...] = ()  # why runs ended without a metric
    rejection: str = ""  # why the referee refused a run, "" when it did not


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides, measured on the same fresh seeds."""

    base: Side
    candidate: Side
    direction: Direction
    noise: Noise | None = None  # the campaign's


@dataclass(frozen=True, slots=True)
class Weighing:
    """What the evidence says, and on what grounds."""

    answer: Answer
    reason: str  # one line for people
    gain: Interval | None = None
    holdout: Interval | None = None
    runs_wanted: int = 0  # measured runs of each side


def weigh(comparison: Comparison) -> Weighing:
    """Say yes, no, or how many runs of each side are wanted next."""
    base, candidate = comparison.base, comparison.candidate
    runs = min(len(base.metrics), len(candidate.metrics))
    if candidate.rejection:
        return Weighing(Answer.NO, f"the referee refused it: {candidate.rejection}")
    for name, side in (("the candidate", candidate), ("the base", base)):
        if len(side.failures) >= FAILURES:
            return Weighing(Answer.NO, f"{name} failed in {len(side.failures)} runs: {side.failures[-1]}")
    if runs < LOOKS[0]:
        return Weighing(Answer.MORE, "too few runs", runs_wanted=LOOKS[0])
    gain, p = _compare(base.metrics, candidate.metrics, comparison)
    holdout, p_holdout = None, None
    if base.holdouts and candidate.holdouts:
        holdout, p_holdout = _compare(base.holdouts, candidate.holdouts, comparison)
    answer, reason = _answer(runs, gain, p, holdout, p_holdout)
    next_look = next((look for look in LOOKS if look > runs), 0) if answer is Answer.MORE else 0
    return Weighing(answer, reason, gain, holdout, next_look)


def _answer(
    runs: int, gain: Interval, p: float, holdout: Interval | None, p_holdout: float | None
) -> tuple[Answer, str]:
    on_validation = f"{gain.gain:+.4g} ({gain.low:+.4g} to {gain.high:+.4g}) over {runs} runs of each side"
    hopeless = discard_from(runs, _RULES)
    sure = p <= keep_up_to(runs, _RULES) and gain.low > 0
    if not sure and (p >= hopeless or runs >= LOOKS[-1]):
        return Answer.NO, f"the gain is not reproduced: {on_validation}"
    if holdout is None or p_holdout is None:
        answer, word = (Answer.YES, "reproduced") if sure else (Answer.MORE, "not sure yet")
        return answer, f"{word}: {on_validation}"
    on_holdout = f"{holdout.gain:+.4g} ({holdout.low:+.4g} to {holdout.high:+.4g}) on the holdout"
    gain_on_holdout = p_holdout <= keep_up_to(runs, _HOLDOUT_RULES) and holdout.low > 0
    holds = gain_on_holdout and holdout.high >= HOLDS_FROM * gain.gain
    if not holds and (p_holdout >= hopeless or runs >= LOOKS[-1]):
        word = "does not hold on the sealed holdout" if sure else "is not reproduced"
        return Answer.NO, f"the gain {word}: {on_holdout}; on validation {on_validation}"
    if sure and holds:
        return Answer.YES, f"reproduced: {on_validation}; it holds: {on_holdout}"
    return Answer.MORE, f"not sure yet: {on_validation}; {on_holdout}"


def _compare(
    base: Sequence[float], candidate: Sequence[float], comparison: Comparison
) -> tuple[Interval, float]:
    prior = comparison.noise
    noise = estimate_noise(
        [base, candidate],
        prior_sd=prior.sd if prior else None,
        prior_weight=min(prior.degrees_of_freedom, PRIOR_WEIGHT) if prior else 0.0,
    )
    gain = comparison.direction.sign * (mean(candidate) - mean(base))
    p = chance_if_equal(gain, len(candidate), len(base), noise.sd, noise.degrees_of_freedom)
    error = noise.sd * math.sqrt(1 / len(base) + 1 / len(candidate))
    half = interval_reach(noise.degrees_of_freedom) * error
    return Interval(gain, gain - half, gain + half), p
