"""Student's t: how likely a value is exceeded, and which value is exceeded that rarely. Pure, and without scipy.

A tail is half a regularised incomplete beta function, from its continued fraction (Lentz's method).
"""

from __future__ import annotations

import math
from functools import lru_cache

INTERVAL = 0.95  # what every interval of a gain covers

_PRECISION = 1e-15
_LEAST = 1e-300  # stands in for a denominator of zero
_SERIES_FROM = 50.0  # from here on the series is exact to the last digit, and a difference of lgammas is not


def upper_tail(t: float, degrees: float) -> float:
    """P(T > t) for any positive number of degrees of freedom, whole or not."""
    if t < 0:
        return 1.0 - upper_tail(-t, degrees)
    if math.isinf(t * t):
        return 0.0
    half, share = degrees / 2, t * t / (degrees + t * t)
    scale = math.exp(_log_gamma_step(half) - half * math.log1p(t * t / degrees))
    density = scale * math.sqrt(share / math.pi)
    # Either tail of the beta distribution gives the other; the fraction converges fast on one side only.
    if share > 1.5 / (half + 2.5):
        return density / degrees * _beta_fraction(half, 0.5, 1.0 - share)
    return 0.5 - density * _beta_fraction(0.5, half, share)


def exceeded_with(probability: float, degrees: float) -> float:
    """The t that is exceeded with this probability, above 0 and at most a half."""
    if probability == 0.5:
        return 0.0
    t = 1.0
    while upper_tail(t, degrees) > probability:
        t *= 2.0
    # The logarithm of the tail is concave in log t: from the right, Newton's steps never pass the root.
    while True:
        tail = upper_tail(t, degrees)
        slope = t * _density(t, degrees) / tail
        step = math.log(probability / tail) / slope
        if step < 1e-14:
            return t
        t *= math.exp(-step)


@lru_cache(maxsize=256)
def interval_reach(degrees: float) -> float:
    """Half of the 95 % interval of a difference, in its standard errors."""
    return exceeded_with((1 - INTERVAL) / 2, degrees)


def _density(t: float, degrees: float) -> float:
    half = degrees / 2
    power = (half + 0.5) * math.log1p(t * t / degrees)
    return math.exp(_log_gamma_step(half) - power) / math.sqrt(degrees * math.pi)


def _log_gamma_step(a: float) -> float:
    """The logarithm of Γ(a + ½) / Γ(a)."""
    if a < _SERIES_FROM:
        return math.lgamma(a + 0.5) - math.lgamma(a)
    return 0.5 * math.log(a) - 1 / (8 * a) + 1 / (192 * a**3) - 1 / (640 * a**5) + 17 / (14336 * a**7)


def _beta_fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1.0 / ((1.0 - (a + b) * x / (a + 1.0)) or _LEAST)
    fraction, m = d, 0
    while True:
        m += 1
        before = fraction
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            c = 1.0 + numerator / c or _LEAST
            d = 1.0 / (1.0 + numerator * d or _LEAST)
            fraction *= c * d
        if abs(fraction - before) <= _PRECISION * abs(fraction):
            return fraction
