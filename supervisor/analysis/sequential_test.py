"""Is one side really better than the other? A sequential t test, for what is to be claimed. Pure.

After a look at k of at most K runs, p is how often equal code would look at least this good. It is good enough when
p ≤ rate · (k/K)²: early looks are strict, only the last may spend the whole rate. It is hopeless from
p ≥ ¼ · (K−k)/(K−1) on.
"""

from __future__ import annotations

import math

from supervisor.analysis.student_t import upper_tail

HOPELESS = 0.25  # how often equal code looks as good as what the first look ends


def chance_if_equal(gain: float, runs: int, base_runs: int, sd: float, degrees: float) -> float:
    """One-sided p: how often equal code would look at least this good; a half where nothing is known."""
    if degrees <= 0:
        return 0.5
    error = sd * math.sqrt(1 / runs + 1 / base_runs)
    if error == 0:
        return 0.5 if gain == 0 else float(gain < 0)
    return upper_tail(gain / error, degrees)


def keep_up_to(runs: int, rate: float, most_runs: int) -> float:
    """The p up to which it is better, after so many runs of `most_runs`."""
    return rate * min(runs / most_runs, 1.0) ** 2


def discard_from(runs: int, most_runs: int) -> float:
    """The p from which there is no hope left, after so many runs; zero at the last look."""
    return HOPELESS * max(most_runs - runs, 0) / max(most_runs - 1, 1)
