"""Simulated labs, many side by side, and the rules that judge their candidates.

Everything is in units of a lab's own σ, the SD of one training run across seeds, which no lab knows at the
start: it is drawn log-uniformly from 0.07 to 1.1 % of the metric's level. `Ours` runs the lab's own code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from supervisor.analysis import noise
from supervisor.analysis import sequential_test as verdicts
from supervisor.analysis.sequential_test import DecideRules, Ruling

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Gains = Callable[[np.random.Generator, int], Floats]

NOISE_SHARES = (0.0007, 0.011)  # σ over the metric's level: an H100 for 5 minutes, a loaded laptop for 20 s
CHAMPION_RUNS = 3  # fresh ones that a champion has at the least


@dataclass(frozen=True)
class World:
    """What the labs meet. Gains and spread are in σ."""

    gains: Gains
    tails: float | None = (
        None  # Student t with so many degrees of freedom, scaled to the same SD; None: Gaussian
    )
    drift: float = 0.0  # σ swings by this share around its mean, once per campaign
    noise_shares: tuple[float, float] = NOISE_SHARES


class Labs:
    """Many labs side by side, each at its current incumbent; one array entry per lab."""

    def __init__(self, count: int, world: World, rng: np.random.Generator) -> None:
        low, high = np.log(world.noise_shares)
        self.world, self.rng, self.count = world, rng, count
        self.prior_sd = noise.PRIOR_SHARE_OF_LEVEL / np.exp(rng.uniform(low, high, count))
        self.phase = rng.uniform(0, 1, count)
        self.spread = np.ones(count)
        self.true_gain = np.zeros(count)  # of the incumbent, over the baseline
        self.runs, self.mean, self.squares = np.zeros(count), np.zeros(count), np.zeros(count)
        self.past_squares, self.past_repeats = np.zeros(count), np.zeros(count)  # of earlier incumbents
        self.baseline_mean = np.full(count, np.nan)  # nan while the baseline is the incumbent
        self.judged = np.zeros(count, dtype=np.int64)  # against this incumbent
        self.total_runs = 0

    def measure(self, gains: Floats) -> Floats:
        """One run of a candidate in every lab; the caller counts those that are made."""
        tails = self.world.tails
        if tails is None:
            draws = self.rng.standard_normal(self.count)
        else:
            draws = self.rng.standard_t(tails, self.count) * np.sqrt((tails - 2) / tails)
        return self.true_gain + gains + self.spread * draws

    def repeat_incumbent(self, wanted: npt.NDArray[np.int64]) -> None:
        """So many more runs of each incumbent."""
        for already in range(int(wanted.max(initial=0))):
            which = wanted > already
            self.total_runs += int(which.sum())
            step = np.where(which, self.measure(np.zeros(self.count)) - self.mean, 0.0)
            self.runs += which
            self.mean += step / np.maximum(self.runs, 1)
            self.squares += step**2 * np.where(which, 1 - 1 / np.maximum(self.runs, 1), 0.0)

    def noise(self) -> tuple[Floats, Floats]:
        """SD and degrees of freedom as each lab estimates them, in its true σ."""
        degrees = self.past_repeats + np.maximum(self.runs - 1, 0) + noise.PRIOR_WEIGHT
        squares = self.past_squares + self.squares + noise.PRIOR_WEIGHT * self.prior_sd**2
        return np.sqrt(squares / degrees), degrees

    def replace_incumbent(self, kept: Bools, gains: Floats, runs: Floats, mean: Floats) -> None:
        """Where kept, the candidate is the new incumbent, known from `runs` runs with that mean."""
        self.baseline_mean = np.where(kept & np.isnan(self.baseline_mean), self.mean, self.baseline_mean)
        self.past_squares += np.where(kept, self.squares, 0.0)
        self.past_repeats += np.where(kept, np.maximum(self.runs - 1, 0), 0.0)
        self.true_gain += np.where(kept, gains, 0.0)
        self.squares = np.where(kept, 0.0, self.squares)
        self.runs, self.mean = np.where(kept, runs, self.runs), np.where(kept, mean, self.mean)
        self.judged = np.where(kept, 0, self.judged + 1)

    def claimed_gain(self) -> Floats:
        """What each lab prints as its incumbent's gain over the baseline."""
        return np.where(np.isnan(self.baseline_mean), 0.0, self.mean - self.baseline_mean)


class Rule:
    """A way to judge candidates."""

    name: str
    baselines: int

    def judge(self, labs: Labs, gains: Floats) -> Bools:
        """Run one candidate in every lab, keep some, leave the incumbents as they stand afterwards."""
        raise NotImplementedError

    def finish(self, labs: Labs) -> None:
        """What is still run before a champion is named."""


class BestSoFar(Rule):
    """karpathy/autoresearch: one run, kept when better than the best so far."""

    name, baselines = "better than the best so far", 1

    def judge(self, labs: Labs, gains: Floats) -> Bools:
        result = labs.measure(gains)
        labs.total_runs += labs.count
        kept = result > labs.mean
        labs.replace_incumbent(kept, gains, np.ones(labs.count), result)
        return kept


class TwoSd(Rule):
    """Outside two SDs of three baselines after one run, else the mean of three runs is better."""

    name, baselines = "2 SD, else mean of 3 better", 3

    def judge(self, labs: Labs, gains: Floats) -> Bools:
        first, more = labs.measure(gains), [labs.measure(gains), labs.measure(gains)]
        sd = np.sqrt((labs.squares + labs.past_squares) / (self.baselines - 1))
        unclear = np.abs(first - labs.mean) <= 2 * sd
        labs.total_runs += labs.count + 2 * int(unclear.sum())
        result = np.where(unclear, (first + more[0] + more[1]) / 3, first)
        kept = result > labs.mean
        labs.replace_incumbent(kept, gains, np.where(unclear, 3.0, 1.0), result)
        return kept


@dataclass
class Ours(Rule):
    """`supervisor/analysis/sequential_test.py`, with the incumbents' fresh runs as the lab schedules them."""

    name: str = "ours"
    baselines: int = 4
    rules: DecideRules = field(default_factory=DecideRules)

    def judge(self, labs: Labs, gains: Floats) -> Bools:
        self._schedule(labs)
        runs, mean, kept = np.zeros(labs.count), np.zeros(labs.count), np.zeros(labs.count, dtype=np.bool_)
        run_next = np.ones(labs.count, dtype=np.bool_)
        undecided = run_next.copy()
        while undecided.any():
            labs.total_runs += int(run_next.sum())
            runs += run_next
            mean += np.where(run_next, labs.measure(gains) - mean, 0.0) / np.maximum(runs, 1)
            sd, degrees = labs.noise()
            error = sd * np.sqrt(1 / runs + 1 / labs.runs)
            p = stdtr(degrees, (labs.mean - mean) / error)  # as `chance_if_equal`, for all labs at once
            ruling = np.full(labs.count, None)
            missing = np.zeros(labs.count, dtype=np.int64)
            for lab in np.flatnonzero(undecided):
                ruling[lab] = verdicts.rule_on(p[lab], runs[lab], labs.runs[lab], degrees[lab], self.rules)
                missing[lab] = verdicts.incumbent_runs_needed(runs[lab], self.rules) - labs.runs[lab]
            kept |= ruling == Ruling.KEEP
            wait = ruling == Ruling.REPEAT_INCUMBENT
            labs.repeat_incumbent(np.where(wait, missing, 0))
            run_next = ruling == Ruling.REPEAT_CANDIDATE
            undecided = run_next | wait
        labs.replace_incumbent(kept, gains, np.zeros(labs.count), np.zeros(labs.count))
        return kept

    def finish(self, labs: Labs) -> None:
        labs.repeat_incumbent(np.maximum(CHAMPION_RUNS - labs.runs, 0).astype(np.int64))

    def _schedule(self, labs: Labs) -> None:
        table = [verdicts.fresh_runs_wanted(0, n, self.rules) for n in range(int(labs.judged.max()) + 1)]
        labs.repeat_incumbent(np.maximum(np.array(table)[labs.judged] - labs.runs, 0).astype(np.int64))


@dataclass(frozen=True)
class Campaigns:
    """What happened: arrays of (experiments, labs), and one entry per lab."""

    gains: Floats
    kept: Bools
    incumbent_runs: Floats  # when the candidate arrived
    runs_per_candidate: float
    claimed: Floats
    true: Floats

    def share_kept(self, low: float, high: float, incumbent_runs: int = 0) -> float:
        """Of candidates with a true gain between the two, against an incumbent of so many runs or more."""
        chosen = (self.gains >= low) & (self.gains <= high) & (self.incumbent_runs >= incumbent_runs)
        return float(self.kept[chosen].mean())


def simulate(rule: Rule, world: World, labs_count: int, experiments: int, seed: int) -> Campaigns:
    """Run one campaign in each of many labs."""
    rng = np.random.default_rng(seed)
    labs = Labs(labs_count, world, rng)
    labs.repeat_incumbent(np.full(labs_count, rule.baselines))
    gains, kept, known = [], [], []
    for experiment in range(experiments):
        labs.spread = 1 + world.drift * np.sin(2 * np.pi * (experiment / experiments + labs.phase))
        gains.append(world.gains(rng, labs_count))
        known.append(labs.runs.copy())
        kept.append(rule.judge(labs, gains[-1]))
    rule.finish(labs)
    return Campaigns(
        gains=np.array(gains),
        kept=np.array(kept),
        incumbent_runs=np.array(known),
        runs_per_candidate=labs.total_runs / labs_count / experiments,
        claimed=labs.claimed_gain(),
        true=labs.true_gain,
    )


def always(gain: float) -> Gains:
    """Every candidate has this true gain."""
    return lambda _rng, count: np.full(count, gain)


def realistic(rng: np.random.Generator, count: int) -> Floats:
    """15 % gains of 0.5–3 σ, 45 % identical, 40 % losses of 0.5–10 σ."""
    lot = rng.random(count)
    changed = np.where(lot < 0.15, rng.uniform(0.5, 3, count), -rng.uniform(0.5, 10, count))
    return np.where((lot >= 0.15) & (lot < 0.6), 0.0, changed)
