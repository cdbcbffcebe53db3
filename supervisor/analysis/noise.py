"""How far a training run's metric moves when nothing changes but the seed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from supervisor.model.snapshot import Noise

# The prior is a guess at the low end of what was seen (0.07 to 1.1 % of the level), worth half a repeat.
# Too wide a guess enters squared and costs keeps for dozens of runs; a few repeats overrule one too narrow.
PRIOR_SHARE_OF_LEVEL = 0.002
PRIOR_WEIGHT = 0.5

# A lab without seeds whose code is run again this often, always with the very same number, is deterministic. There
# the smallest standard deviation that is still believed is this share of the metric's level.
EXACT_REPEATS = 3
EXACT_SHARE_OF_LEVEL = 1e-6

INSIDE_NOISE_SDS = 2.0  # standard errors below which a shown gain may be luck


def estimate_noise(
    groups: Sequence[Sequence[float]],
    *,
    prior_sd: float | None = None,
    prior_weight: float = PRIOR_WEIGHT,
    floor: float = 0.0,
) -> Noise:
    """Pool the variance within `groups`, each the metrics of one commit's runs that were decided beforehand.

    `prior_sd` and `floor` are in the metric's unit (prior_sd None: a small share of the metric's level),
    `prior_weight` in degrees of freedom. Without repeats or prior there are no degrees of freedom either, and
    nothing can be decided on that.
    Raises ValueError for a number that is not finite or a negative setting.
    """
    values = [value for group in groups for value in group]
    require_finite(*values, prior_weight, floor, *(() if prior_sd is None else (prior_sd,)))
    if min(prior_weight, floor, prior_sd or 0.0) < 0:
        raise ValueError("prior_sd, prior_weight and floor must not be negative")
    if prior_sd is None:
        prior_sd = PRIOR_SHARE_OF_LEVEL * abs(mean(values)) if values else 0.0
    # In units of the largest number around, so that no square overflows.
    unit = max([abs(value) for value in values] + [prior_sd, floor]) or 1.0
    repeated = [[value / unit for value in group] for group in groups if len(group) > 1]
    squares = sum(_squared_deviations(group) for group in repeated)
    repeats = sum(len(group) - 1 for group in repeated)
    sd, degrees = pooled_sd(squares, repeats, prior_sd / unit, prior_weight, floor / unit)
    return Noise(sd=sd * unit, degrees_of_freedom=degrees, runs=sum(map(len, repeated)))


def pooled_sd(
    squares: float, repeats: int, prior_sd: float, prior_weight: float, floor: float
) -> tuple[float, float]:
    """SD and its degrees of freedom, from the sum of squared deviations over `repeats` degrees of freedom."""
    # A prior of zero is no prior: counting it would only shrink the noise.
    weight = prior_weight if prior_sd > 0 else 0.0
    degrees = repeats + weight
    sd = math.sqrt((squares + weight * prior_sd**2) / degrees) if degrees else 0.0
    return max(sd, floor), degrees


def mean(values: Sequence[float]) -> float:
    """The mean, exact for equal values, so that rounding never looks like a gain or like noise."""
    first = values[0]
    return first + math.fsum(value - first for value in values) / len(values)


def require_finite(*values: float) -> None:
    """Raise ValueError unless every value is a finite number: NaN compares false with every threshold."""
    for value in values:
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a measurement")


def _squared_deviations(values: Sequence[float]) -> float:
    centre = mean(values)
    return math.fsum((value - centre) ** 2 for value in values)


def repeats_exactly(groups: Sequence[Sequence[float]]) -> bool:
    """Whether runs of the same code, some of them repeated often enough, never differed at all."""
    repeats = sum(len(group) - 1 for group in groups if group)
    return repeats >= EXACT_REPEATS and all(len(set(group)) <= 1 for group in groups)
