"""What changes usually gain, and what a measured difference then says about one of them. Pure.

Most changes do nothing, some gain, many lose a little or a lot. A measured difference is read with that in mind: a
lucky draw shrinks to what is likely, and a keep needs no second run only to be believed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

_TAIL_NODES = ((0.60, 0.65), (0.32, 0.20), (0.08, 0.04))  # share, quantile of the precision
_SQRT_2, _SQRT_2PI = math.sqrt(2.0), math.sqrt(2.0 * math.pi)


@dataclass(frozen=True, slots=True)
class Effect:
    """One sort of effect: its share of all changes, and its mean size, in the metric's unit, with its sign."""

    share: float
    size: float  # 0: no effect at all


Prior = tuple[Effect, ...]  # their shares add up to 1


@dataclass(frozen=True, slots=True)
class Difference:
    """A candidate's mean over its parent's value as measured; everything in the metric's unit."""

    gain: float  # positive is better
    parent_variance: float  # of what it was held against, and of devices and time between the two
    own_variance: float  # of the candidate's own mean
    degrees: float  # how well the noise is known: of the t that the own part follows


@dataclass(frozen=True, slots=True)
class GainEstimate:
    """What a difference says once it is known what changes usually gain."""

    gain: float
    sd: float
    p_better: float  # probability of a gain above zero
    shares: tuple[float, ...]  # of each effect of the prior, now
    sizes: tuple[float, ...]  # expected size of each, times its share
    trust: float  # of the candidate's own runs, 1: no outlier among them


# Share, and mean size in the noise of one run: nothing, gains, large gains, small losses, large ones.
GENERIC = ((0.45, 0.0), (0.13, 1.4), (0.02, 6.0), (0.15, -1.0), (0.25, -5.0))
GAIN_CANDIDATES = 16.0  # the generic share of gains counts as so many candidates
LOSS_CANDIDATES = 5.0  # how the others split up counts as so many: a campaign shows that at once
LEAST_CANDIDATES = 1.5  # that a generic size counts as
KIND_CANDIDATES = 12.0  # what is known of all kinds of change counts as so many of one kind


class Tally:
    """What some changes did, as far as their verdicts tell: how many of each effect, and how much."""

    def __init__(self) -> None:
        self.counts = [0.0] * len(GENERIC)
        self.sizes = [0.0] * len(GENERIC)
        self.settled = 0

    def take(self, estimate: GainEstimate) -> None:
        """One more change with its verdict."""
        self.settled += 1
        for at, (share, size) in enumerate(zip(estimate.shares, estimate.sizes, strict=True)):
            self.counts[at] += share
            self.sizes[at] += size


class GainRecord:
    """What the changes of a campaign did, all of them and by kind; from it, what the next one is likely to do."""

    def __init__(self) -> None:
        self._all = Tally()
        self._by_kind: dict[str, Tally] = {}
        self._priors: dict[str, Prior] = {}

    def learn(self, kind: str, estimate: GainEstimate) -> None:
        """One more change with its verdict."""
        self._priors.clear()
        self._all.take(estimate)
        self._by_kind.setdefault(kind, Tally()).take(estimate)

    def prior(self, kind: str, noise_sd: float) -> Prior:
        """What a change of that kind is taken to do; a kind speaks for itself once there were enough of it."""
        own = self._by_kind.get(kind)
        if not kind or own is None or own.settled < KIND_CANDIDATES:
            kind = ""
        if kind not in self._priors:
            prior = _learned(self._all, noise_sd)
            self._priors[kind] = _of_kind(prior, own) if kind and own else prior
        return self._priors[kind]


def _learned(tally: Tally, noise_sd: float) -> Prior:
    """Gains are rare, so that their share is learned slowly; how all else splits up shows at once."""
    gains = [at for at, (_, size) in enumerate(GENERIC) if size > 0]
    generic, won = sum(GENERIC[at][0] for at in gains), sum(tally.counts[at] for at in gains)
    better = (generic * GAIN_CANDIDATES + won) / (GAIN_CANDIDATES + tally.settled)
    effects = []
    for at, (share, size) in enumerate(GENERIC):
        whole, settled, candidates = (
            (better, won, generic * GAIN_CANDIDATES)
            if at in gains
            else (1 - better, tally.settled - won, LOSS_CANDIDATES)
        )
        part = share / (generic if at in gains else 1 - generic) * candidates
        own = whole * (part + tally.counts[at]) / (candidates + settled)
        weight = max(part, LEAST_CANDIDATES)
        mean = (size * noise_sd * weight + tally.sizes[at]) / (weight + tally.counts[at])
        effects.append(Effect(own, mean if size else 0.0))
    return tuple(effects)


def _of_kind(prior: Prior, tally: Tally) -> Prior:
    whole = KIND_CANDIDATES + tally.settled
    return tuple(
        Effect((one.share * KIND_CANDIDATES + count) / whole, one.size)
        for one, count in zip(prior, tally.counts, strict=True)
    )


def estimate_gain(difference: Difference, prior: Prior) -> GainEstimate:
    """The gain behind a measured difference."""
    terms = []
    for share, factor in _tails(round(difference.degrees, 1)):
        variance = max(difference.parent_variance + factor * difference.own_variance, 1e-300)
        for which, one in enumerate(prior):
            if one.share > 0:
                log_density, *effect = _meet(difference.gain, variance, one.size)
                terms.append((math.log(share * one.share) + log_density, which, factor, effect))
    top = max([term[0] for term in terms])
    weights = [math.exp(term[0] - top) for term in terms]
    total = sum(weights)
    shares, sizes = [0.0] * len(prior), [0.0] * len(prior)
    gain = square = better = trust = 0.0
    for weight, (_, which, factor, (mean, spread, positive)) in zip(weights, terms, strict=True):
        w = weight / total
        shares[which] += w
        sizes[which] += w * mean
        gain += w * mean
        square += w * (spread + mean * mean)
        better += w * positive
        trust += w / factor
    sd = math.sqrt(max(square - gain * gain, 0.0))
    return GainEstimate(gain, sd, min(better, 1.0), tuple(shares), tuple(sizes), trust)


def _meet(difference: float, variance: float, size: float) -> tuple[float, float, float, float]:
    """One sort of effect against the difference: log density, then mean, variance and P(> 0) of the gain."""
    if size == 0.0:
        log_density = -0.5 * (difference * difference / variance + math.log(variance)) - math.log(_SQRT_2PI)
        return log_density, 0.0, 0.0, 0.0
    sign = 1.0 if size > 0 else -1.0
    scale, sd = abs(size), math.sqrt(variance)
    # An exponential effect seen through Gaussian noise is a normal that is cut at zero.
    centre = sign * difference - variance / scale
    z = centre / sd
    log_share, hazard = _lower_tail(z)
    log_density = variance / (2 * scale * scale) - sign * difference / scale - math.log(scale) + log_share
    mean = centre + sd * hazard
    spread = variance * max(1.0 - hazard * (hazard + z), 0.0)
    if z < -8:  # far out the difference of the two is lost to rounding
        mean, spread = sd / (-z + 2 / -z), variance / (z * z)
    return log_density, sign * mean, spread, 1.0 if sign > 0 else 0.0


def _lower_tail(z: float) -> tuple[float, float]:
    """log Φ(z), and the density over Φ(z)."""
    if z > -8:
        below = 0.5 * math.erfc(-z / _SQRT_2)
        return math.log(below), math.exp(-0.5 * z * z) / _SQRT_2PI / below
    ratio = -z / (1 - 1 / (z * z) + 3 / z**4)  # density over tail, from the asymptotic series
    return -0.5 * z * z - math.log(_SQRT_2PI) - math.log(ratio), ratio


@lru_cache(maxsize=4096)
def _tails(degrees: float) -> tuple[tuple[float, float], ...]:
    """A t of so many degrees as a few normals: share and factor of the variance of each."""
    nodes = []
    for share, quantile in _TAIL_NODES:
        z, spread = NormalDist().inv_cdf(quantile), 2 / (9 * max(degrees, 0.5))
        precision = max(1 - spread + z * math.sqrt(spread), 0.05) ** 3  # Wilson and Hilferty's chi square
        nodes.append((share, 1 / precision))
    return tuple(nodes)
