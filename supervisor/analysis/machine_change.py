"""Has the machine changed under the same code? The evidence, from runs of one commit in their order. Pure.

Two stories are weighed: nothing changed, or from some check on everything is measured higher or lower. The ratio of
their likelihoods holds for any number of looks, so a check may be repeated as soon as it looks suspicious.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CHANGE_SDS = 2.5  # how large a change is expected to be, in the noise of one run
CERTAIN = 3.0  # logarithm of the ratio from which a change is told: under 1 % of unchanged campaigns reach it
SUSPICIOUS = 0.0  # from which on the machine is looked at again at once, and old figures count for less


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the checks say."""

    log_ratio: float  # of the likelihood of a change to that of none
    since: int  # the first run that is likely to show it
    change: float  # of the runs since then
    runs_since: int = 0

    @property
    def is_certain(self) -> bool:
        """Whether a change may be told; one wild run is none."""
        return self.log_ratio >= CERTAIN and self.runs_since > 1

    @property
    def is_suspicious(self) -> bool:
        """Whether one more look is due."""
        return self.log_ratio > SUSPICIOUS and not self.is_certain


def evidence_of_change(
    values: Sequence[float], first_check: int, noise_sd: float, degrees: float
) -> Evidence:
    """The evidence in the runs of one commit, of which those from `first_check` on were made to look for it.

    `noise_sd` and `degrees` are what is known of the noise from elsewhere.
    """
    if not 0 < first_check < len(values) or noise_sd <= 0:
        return Evidence(-math.inf, len(values), 0.0)
    scaled = [value / noise_sd for value in values]
    still = _log_likelihood(scaled, len(scaled), degrees)
    changed = {at: _log_likelihood(scaled, at, degrees) for at in range(first_check, len(scaled))}
    since = max(changed, key=lambda at: changed[at])
    top = changed[since]
    ratio = top + math.log(sum(math.exp(each - top) for each in changed.values()) / len(changed)) - still
    before, after = values[:since], values[since:]
    change = math.fsum(after) / len(after) - math.fsum(before) / len(before)
    return Evidence(ratio, since, change, len(after))


def _log_likelihood(values: Sequence[float], change_at: int, degrees: float) -> float:
    """Of each run given those before it, with the noise known from as much; constants are left out."""
    mean, variance, total = values[0], 1.0, 0.0
    degrees, squares = max(degrees, 0.5), max(degrees, 0.5)
    for at in range(1, len(values)):
        if at == change_at:
            variance += CHANGE_SDS**2
        spread, off = variance + 1, values[at] - mean
        known = squares / degrees * spread
        total += math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - 0.5 * math.log(degrees * known)
        total -= (degrees + 1) / 2 * math.log1p(off * off / (degrees * known))
        squares, degrees = squares + off * off / spread, degrees + 1
        mean, variance = mean + variance / spread * off, variance / spread
    return total
