"""Is a candidate really better than its incumbent? A sequential t test, paid in training runs.

After its k-th run (of at most K) the candidate's mean is compared with the mean of the incumbent's n unbiased
runs; p is how often equal code would look at least this good: P(t > gain / (sd · √(1/k + 1/n))).

- keep when p ≤ false_keep_rate · (k/K)²: early looks are strict, only the last word may spend the whole rate;
- discard when p ≥ ¼ · (K−k)/(K−1): most candidates leave after one run, and the last word ends every doubt;
- in between, run another seed.

The incumbent's error is shared by all its candidates, so the closer the call, the better it has to be known:
no keep before it has 3 runs, 6 past the middle, 12 for the last word. Only promising candidates ask for more.
The constants were chosen by simulation: `benchmarks/verdicts.py` prints what they achieve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from supervisor.analysis.noise import mean, require_finite
from supervisor.analysis.student_t import exceeded_with, interval_reach, upper_tail
from supervisor.lab.config import HOPELESS, DecideSection
from supervisor.model.snapshot import Noise
from supervisor.model.states import Direction

CLEAR_LOSS = 0.9  # p from which it ends even against an incumbent of one or two runs
RUNS_AT_FIRST = 3  # of the incumbent
RUNS_PAST_THE_MIDDLE = 6
RUNS_FOR_THE_LAST_WORD = 12
FRESH_RUNS_CAP = 16  # more would hardly narrow the difference to a candidate that has five runs
CANDIDATES_PER_FRESH_RUN = 6


class Ruling(StrEnum):
    """What is to be done with a candidate."""

    KEEP = "keep"
    DISCARD = "discard"
    REPEAT_CANDIDATE = "repeat candidate"  # another seed
    REPEAT_INCUMBENT = "repeat incumbent"  # it needs fresh runs before this can be decided


class DecisionRule(StrEnum):
    """Which rule a decision rests on."""

    CLEARLY_BETTER = "clearly better"
    NO_PROMISE = "no promise of a gain"
    RUNS_SPENT = "not clearly better, and no run left"
    IN_BETWEEN = "in between"
    INCUMBENT_UNKNOWN = "incumbent not known well enough"


class DecideRules(DecideSection):
    """The `[decide]` table of autoresearch.toml, and how often a junior may mend an edit that crashed."""

    repairs: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """A ruling with its grounds; gains are in the metric's unit, positive is better."""

    ruling: Ruling
    rule: DecisionRule
    reason: str  # one line for people
    gain: float
    gain_low: float  # 95 % interval of the gain as if this had been the only look
    gain_high: float
    confidence: float  # that the gain is above zero, 0 to 1
    runs_wanted: int  # further runs that the ruling asks for, of the candidate or of the incumbent


def decide(
    candidate: Sequence[float],
    incumbent: Sequence[float],
    noise: Noise,
    rules: DecideRules,
    direction: Direction,
) -> Decision:
    """Judge all runs of a candidate against the unbiased runs of its incumbent.

    Raises ValueError when either has no runs or a number is not finite.
    """
    if not candidate or not incumbent:
        raise ValueError("a decision needs at least one run of the candidate and one of the incumbent")
    require_finite(*candidate, *incumbent, noise.sd, noise.degrees_of_freedom)
    runs, known = len(candidate), len(incumbent)
    gain = direction.sign * (mean(candidate) - mean(incumbent))
    sd, degrees = max(noise.sd, rules.noise_floor), noise.degrees_of_freedom
    p = chance_if_equal(gain, runs, known, sd, degrees)
    ruling = rule_on(p, runs, known, degrees, rules)
    rule = _rule_behind(ruling, runs, rules)
    missing = max(1, incumbent_runs_needed(runs, rules) - known)
    half, bar = math.inf, math.inf
    if degrees > 0:
        error = sd * math.sqrt(1 / runs + 1 / known)
        half = interval_reach(degrees) * error
        bar = exceeded_with(keep_up_to(runs, rules), degrees) * error
    unknown = rule is DecisionRule.INCUMBENT_UNKNOWN
    outlook = f"the incumbent needs {missing} more" if unknown else f"kept from {bar:+.2g}"
    against = f"run {runs} of {rules.max_runs} against {known} of the incumbent"
    return Decision(
        ruling=ruling,
        rule=rule,
        reason=f"{rule}: gain {gain:+.4g} ± {half:.2g}, {against}; {outlook}",
        gain=gain,
        gain_low=gain - half,
        gain_high=gain + half,
        confidence=1 - p,
        runs_wanted={Ruling.REPEAT_CANDIDATE: 1, Ruling.REPEAT_INCUMBENT: missing}.get(ruling, 0),
    )


def fresh_runs_wanted(incumbent_runs: int, candidates_judged: int, rules: DecideRules) -> int:
    """How many fresh runs an incumbent that has `incumbent_runs` should have by now, in total.

    Those for zero candidates judged are due before its first decision, the others when a device is free. The
    schedule looks at counts only, never at outcomes, so it cannot bias the incumbent's mean.
    """
    scheduled = incumbent_runs_needed(1, rules) + candidates_judged // CANDIDATES_PER_FRESH_RUN
    return max(incumbent_runs, min(FRESH_RUNS_CAP, scheduled))


def chance_if_equal(gain: float, runs: int, incumbent_runs: int, sd: float, degrees: float) -> float:
    """One-sided p: how often equal code would look at least this good; a half where nothing is known."""
    if degrees <= 0:
        return 0.5
    error = sd * math.sqrt(1 / runs + 1 / incumbent_runs)
    if error == 0:
        return 0.5 if gain == 0 else float(gain < 0)
    return upper_tail(gain / error, degrees)


# The simulation in benchmarks/ decides by these very thresholds.


def rule_on(p: float, runs: int, incumbent_runs: int, degrees: float, rules: DecideRules) -> Ruling:
    """What is to be done with a candidate, from its p after `runs` runs."""
    estimated = degrees > 0
    ready = estimated and incumbent_runs >= incumbent_runs_needed(runs, rules)
    good = p <= keep_up_to(runs, rules)
    if ready and good:
        return Ruling.KEEP
    # The last word, which ends every doubt, waits until the incumbent is known.
    look = runs if ready else min(runs, rules.max_runs - 1)
    hopeless = CLEAR_LOSS if incumbent_runs < RUNS_AT_FIRST else discard_from(look, rules)
    if estimated and not good and p >= hopeless:
        return Ruling.DISCARD
    return Ruling.REPEAT_CANDIDATE if ready else Ruling.REPEAT_INCUMBENT


def keep_up_to(runs: int, rules: DecideRules) -> float:
    """The p up to which a candidate is kept after `runs` runs."""
    return rules.false_keep_rate * min(runs / rules.max_runs, 1.0) ** 2


def discard_from(runs: int, rules: DecideRules) -> float:
    """The p from which a candidate is discarded after `runs` runs; zero at the last one."""
    return HOPELESS * max(rules.max_runs - runs, 0) / max(rules.max_runs - 1, 1)


def incumbent_runs_needed(runs: int, rules: DecideRules) -> int:
    """Runs of the incumbent that a candidate's look after `runs` runs takes."""
    if runs >= rules.max_runs:
        return RUNS_FOR_THE_LAST_WORD
    return RUNS_PAST_THE_MIDDLE if 2 * runs > rules.max_runs else RUNS_AT_FIRST


def _rule_behind(ruling: Ruling, runs: int, rules: DecideRules) -> DecisionRule:
    match ruling:
        case Ruling.KEEP:
            return DecisionRule.CLEARLY_BETTER
        case Ruling.DISCARD:
            return DecisionRule.RUNS_SPENT if runs >= rules.max_runs else DecisionRule.NO_PROMISE
        case Ruling.REPEAT_CANDIDATE:
            return DecisionRule.IN_BETWEEN
        case Ruling.REPEAT_INCUMBENT:
            return DecisionRule.INCUMBENT_UNKNOWN
    assert_never(ruling)
