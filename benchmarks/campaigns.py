"""What a night of runs finds, and what it then claims: simulated campaigns under three ways to decide.

    python benchmarks/campaigns.py [--labs 200] [--runs 100,200,400] [--worlds realistic,small-gains] [--seed 0]

Everything is in σ, the SD of one training run. Every run counts: baselines, repeats, drift checks, the champion's
fresh runs. `ours` is the lab's own code (`supervisor/analysis/`), run by run; `best so far` keeps whatever one run
shows to be better; `t test` is the sequential test by which this lab decided before. Columns: true gain of the
champion after so many runs; claimed minus true at the middle one; identical candidates kept; runs a candidate.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean

from supervisor.analysis.campaign_model import STEADY, CampaignModel, MeasuredRun, Settled
from supervisor.analysis.expected_gain import Ruling, decide, falls_back
from supervisor.analysis.sequential_test import chance_if_equal, discard_from, keep_up_to
from supervisor.lab.config import DecideSection

Gains = Callable[[random.Random, int], float]

BASELINES = 4  # of ours and of the t test
CHECKS_IN_A_ROW = 4
PROOF_RUNS = 3  # of a champion, decided beforehand
SHARE = 0.0035  # σ over the metric's level, where a world says nothing else


def realistic(dice: random.Random, _number: int) -> float:
    """15 % gains of 0.5 to 3, 45 % identical, 40 % losses of 0.5 to 10."""
    lot = dice.random()
    if lot < 0.15:
        return dice.uniform(0.5, 3)
    return 0.0 if lot < 0.6 else -dice.uniform(0.5, 10)


def small_gains(dice: random.Random, _number: int) -> float:
    """25 % gains of 0.1 to 1, 25 % identical, 50 % losses of 0.3 to 6."""
    lot = dice.random()
    if lot < 0.25:
        return dice.uniform(0.1, 1)
    return 0.0 if lot < 0.5 else -dice.uniform(0.3, 6)


def drying_up(dice: random.Random, number: int) -> float:
    """Gains of 0.5 to 3, 17 % at first and 2 % in the end; 40 % losses of 0.5 to 10."""
    lot = dice.random()
    if lot < 0.15 * math.exp(-number / 60) + 0.02:
        return dice.uniform(0.5, 3)
    return 0.0 if lot < 0.6 else -dice.uniform(0.5, 10)


def identical(_dice: random.Random, _number: int) -> float:
    """Nothing changes anything."""
    return 0.0


def losses(dice: random.Random, _number: int) -> float:
    """Everything loses 0.5 to 10."""
    return -dice.uniform(0.5, 10)


def losses_of_all_sizes(dice: random.Random, _number: int) -> float:
    """Everything loses, two in five next to nothing."""
    return -dice.uniform(0.5, 10) if dice.random() < 0.6 else -dice.uniform(0, 0.5)


@dataclass(frozen=True)
class World:
    """What a lab meets; gains, drift and devices in σ."""

    gains: Gains = realistic
    share: float = SHARE  # σ over the metric's level
    tails: int | None = None  # Student's t of so many degrees, scaled to the same SD; None: normal
    drift: Callable[[int], float] = lambda _run: 0.0
    devices: tuple[float, ...] = (0.0,)  # what each adds to a run
    noisy: float = 1.0  # the SD of half of the candidates
    cases: int = 0  # the metric is an accuracy on so many cases
    silent: bool = False  # no noise at all


WORLDS = {
    "realistic": World(),
    "small gains": World(small_gains),
    "drying up": World(drying_up),
    "identical": World(identical),
    "losses only": World(losses),
    "losses of all sizes": World(losses_of_all_sizes),
    "t3 tails": World(tails=3),
    "drift +2 a 100": World(drift=lambda run: run / 50),
    "drift -2 a 100": World(drift=lambda run: -run / 50),
    "shift +2 at once": World(drift=lambda run: 2.0 * (run >= BASELINES)),
    "shift -2 at once": World(drift=lambda run: -2.0 * (run >= BASELINES)),
    "shift +2 midway": World(drift=lambda run: 2.0 * (run >= 100)),
    "shift -2 midway": World(drift=lambda run: -2.0 * (run >= 100)),
    "4 devices one slow": World(devices=(0.0, 0.0, 0.0, -1.0)),
    "half twice as noisy": World(noisy=2.0),
    "σ .01 % of the level": World(share=0.0001),
    "σ .07 % of the level": World(share=0.0007),
    "σ 1 % of the level": World(share=0.01),
    "σ 5 % of the level": World(share=0.05),
    "higher is better": World(),
    "30 cases": World(cases=30),
    "no noise": World(silent=True),
}


class Lab:
    """One lab's truth: what its commits are worth, and the runs that it makes."""

    def __init__(self, world: World, higher: bool, seed: int) -> None:
        self.world, self.dice = world, random.Random(seed)
        self.values, self.spreads, self.parents = {"base": 0.0}, {"base": 1.0}, {"base": "base"}
        self.runs = self.candidates = self.identical = 0
        self.sigma = world.share if world.cases == 0 else math.sqrt(0.3 * 0.7 / world.cases)
        self.level = 1.0 if higher else -1.0

    def draft(self, parent: str, gain: float | None = None) -> str:
        """A candidate on top of a commit."""
        self.candidates += 1
        if gain is None:
            gain = self.world.gains(self.dice, self.candidates) * (0.25 if self.world.cases else 1.0)
        commit = f"c{self.candidates}"
        self.values[commit], self.parents[commit] = self.values[parent] + gain, parent
        self.spreads[commit] = self.world.noisy if self.dice.random() < 0.5 else 1.0
        self.identical += gain == 0
        return commit

    def gain(self, commit: str) -> float:
        """What its change truly gains."""
        return self.values[commit] - self.values[self.parents[commit]]

    def measure(self, commit: str) -> tuple[str, float]:
        """One run: its device, and its result in the direction of a gain."""
        place = self.runs % len(self.world.devices)
        at = self.runs
        self.runs += 1
        if self.world.cases:
            share = min(max(0.3 + self.sigma * self.values[commit], 0.02), 0.98)
            right = sum(self.dice.random() < share for _ in range(self.world.cases))
            return f"cpu:{place}", right / self.world.cases
        noise = 0.0 if self.world.silent else self._noise() * self.spreads[commit]
        value = self.values[commit] + noise + self.world.devices[place] + self.world.drift(at)
        return f"cpu:{place}", self.level + self.sigma * value

    def _noise(self) -> float:
        tails = self.world.tails
        if tails is None:
            return self.dice.gauss(0, 1)
        square = sum(self.dice.gauss(0, 1) ** 2 for _ in range(tails))
        return self.dice.gauss(0, 1) / math.sqrt(square / tails) * math.sqrt((tails - 2) / tails)

    def in_sigmas(self, gain: float) -> float:
        """A claim, in the unit of the truth."""
        return gain / self.sigma

    def true_gain(self, commit: str) -> float:
        """What the champion is worth; an accuracy ends at its ceiling."""
        if not self.world.cases:
            return self.values[commit]
        return min(self.values[commit], (0.98 - 0.3) / self.sigma)


@dataclass
class Outcome:
    """One campaign."""

    true: float
    claimed: float
    identical_kept: float
    runs_per_candidate: float


def best_so_far(lab: Lab, budget: int) -> Outcome:
    """karpathy/autoresearch: one run, kept when better than the best so far."""
    best, kept = "base", 0
    first = top = lab.measure(best)[1]
    while lab.runs < budget:
        candidate = lab.draft(best)
        value = lab.measure(candidate)[1]
        if value > top:
            kept += lab.gain(candidate) == 0
            best, top = candidate, value
    return _outcome(lab, best, top - first, kept)


@dataclass
class Group:
    """Runs of one commit that were decided beforehand."""

    runs: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def take(self, value: float) -> None:
        """One more."""
        self.runs += 1
        step = value - self.mean
        self.mean += step / self.runs
        self.squares += step * (value - self.mean)


@dataclass
class TTest:
    """The sequential t test: clearly better, or not, against an incumbent that is known from fresh runs."""

    lab: Lab
    budget: int
    incumbent: str = "base"
    known: Group = field(default_factory=Group)
    squares: float = 0.0
    repeats: int = 0
    judged: int = 0
    kept_identical: int = 0

    RATE, MOST = 0.01, 5

    def run(self) -> Outcome:
        """Until the budget is spent."""
        self._repeat(BASELINES)
        base = self.known
        while self.lab.runs < self.budget:
            self._repeat(min(16, 3 + self.judged // 6) - self.known.runs)
            candidate = self.lab.draft(self.incumbent)
            self.judged += 1
            if self._keeps(candidate):
                self.kept_identical += self.lab.gain(candidate) == 0
                self.squares += self.known.squares
                self.repeats += self.known.runs - 1
                self.incumbent, self.known, self.judged = candidate, Group(), 0
                self._repeat(3)
        claim = self.known.mean - base.mean if self.known is not base else 0.0
        return _outcome(self.lab, self.incumbent, claim, self.kept_identical)

    def _repeat(self, count: int) -> None:
        for _ in range(count):
            self.known.take(self.lab.measure(self.incumbent)[1])

    def _keeps(self, candidate: str) -> bool:
        own = Group()
        own.take(self.lab.measure(candidate)[1])
        while True:
            degrees = self.repeats + self.known.runs - 1 + 0.5
            guess = 0.5 * (0.002 * self.lab.level) ** 2
            sd = math.sqrt((self.squares + self.known.squares + guess) / degrees)
            p = chance_if_equal(own.mean - self.known.mean, own.runs, self.known.runs, sd, degrees)
            needed = 12 if own.runs >= self.MOST else 6 if 2 * own.runs > self.MOST else 3
            good = p <= keep_up_to(own.runs, self.RATE, self.MOST)
            ready = self.known.runs >= needed
            if ready and good:
                return True
            look = own.runs if ready else min(own.runs, self.MOST - 1)
            hopeless = 0.9 if self.known.runs < 3 else discard_from(look, self.MOST)
            if not good and p >= hopeless:
                return False
            if ready:
                own.take(self.lab.measure(candidate)[1])
            else:
                self._repeat(needed - self.known.runs)


@dataclass
class Ours:
    """The lab's own model and decisions; as many candidates are under way as there are devices."""

    lab: Lab
    budget: int
    rules: DecideSection
    model: CampaignModel = field(default_factory=CampaignModel)
    lineage: list[str] = field(default_factory=lambda: ["base"])
    queue: deque[str] = field(default_factory=deque)  # commits to be run before anything new is
    settled: set[str] = field(default_factory=lambda: {"base"})
    judged: int = 0
    again: int = 0  # drift checks in a row
    kept_identical: int = 0

    def run(self) -> Outcome:
        """Until the budget is spent, the champion's proof included."""
        for _ in range(max(BASELINES, len(self.lab.world.devices))):
            self._measure("base")
        flying: deque[str] = deque()
        while self.lab.runs + len(flying) < self.budget - PROOF_RUNS:
            flying.append(self.queue.popleft() if self.queue else self.lab.draft(self.lineage[-1]))
            if len(flying) == len(self.lab.world.devices):
                self._land(flying.popleft())
        while flying:
            self._land(flying.popleft())
        self._prove()
        claim = self.model.difference(self.lineage[-1], "base")[0]
        return _outcome(self.lab, self.lineage[-1], claim, self.kept_identical)

    def _measure(self, commit: str) -> None:
        device, value = self.lab.measure(commit)
        parent = None if commit == "base" else self.lab.parents[commit]
        self.model.take(MeasuredRun(commit, parent, device, value))

    def _land(self, commit: str) -> None:
        self._measure(commit)
        if (
            commit == "base"
            and self.model.evidence_of_change().is_suspicious
            and self.again < CHECKS_IN_A_ROW
        ):
            self.again += 1
            self.queue.append("base")
        elif commit == "base":
            self.again = 0
        if commit in self.settled:
            return
        decision = decide(self.model, commit, self.rules)
        if decision.ruling is Ruling.REPEAT:
            self.queue.append(commit)
            return
        kept = decision.ruling is Ruling.KEEP
        self.model.take(Settled(commit, kept))
        self.settled.add(commit)
        self.judged += 1
        parent = self.lab.parents[commit]
        if kept and parent == self.lineage[-1]:
            self.kept_identical += self.lab.gain(commit) == 0
            self.lineage.append(commit)
        elif kept:  # another was kept meanwhile: the change is tried on top of that one
            self.queue.append(self.lab.draft(self.lineage[-1], self.lab.gain(commit)))
            self.lab.identical -= self.lab.gain(commit) == 0
        while len(self.lineage) > 1 and falls_back(self.model, self.lineage[-1]):
            self.lineage.pop()
        if self.rules.drift_every and self.judged % self.rules.drift_every == 0:
            self.queue.append("base")

    def _prove(self) -> None:
        for _ in range(PROOF_RUNS):
            if self.lineage[-1] != "base":
                self._measure(self.lineage[-1])
                if self.model.wander != STEADY:
                    self._measure("base")


def _outcome(lab: Lab, champion: str, claim: float, kept_identical: int) -> Outcome:
    return Outcome(
        lab.true_gain(champion),
        lab.in_sigmas(claim),
        kept_identical / max(lab.identical, 1),
        lab.runs / max(lab.candidates, 1),
    )


RULES = ("t test", "best so far", "ours")


def campaign(rule: str, name: str, budget: int, rules: DecideSection, seed: int) -> Outcome:
    """One campaign in one lab."""
    lab = Lab(WORLDS[name], name == "higher is better", seed)
    match rule:
        case "t test":
            return TTest(lab, budget).run()
        case "best so far":
            return best_so_far(lab, budget)
    return Ours(lab, budget, rules).run()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labs", type=int, default=200)
    parser.add_argument("--runs", default="100,200,400")
    parser.add_argument("--worlds", default="", help="names, separated by commas; all by default")
    parser.add_argument("--rules", default=",".join(RULES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worth", type=float, default=DecideSection().worth)
    options = parser.parse_args()
    budgets = [int(each) for each in options.runs.split(",")]
    middle = budgets[len(budgets) // 2]
    rules = DecideSection(worth=options.worth)
    started = time.perf_counter()
    head = "".join(f"{budget:>7}" for budget in budgets)
    print(f"{'world':<22}{'rule':<13}true gain after{head} runs   claimed-true   ±     kept   runs/cand")
    names = options.worlds.split(",") if options.worlds else list(WORLDS)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name in names:
            for rule in options.rules.split(","):
                true, note = "", ""
                for budget in budgets:
                    one = partial(campaign, rule, name, budget, rules)
                    seeds = range(options.seed, options.seed + options.labs)
                    outcomes = list(pool.map(one, seeds, chunksize=max(options.labs // 16, 1)))
                    true += f"{fmean(o.true for o in outcomes):7.2f}"
                    if budget == middle:
                        off = [o.claimed - o.true for o in outcomes]
                        spread = math.sqrt(fmean((each - fmean(off)) ** 2 for each in off) / len(off))
                        note = (
                            f"   {fmean(off):+12.2f} {spread:5.2f}  {fmean(o.identical_kept for o in outcomes):6.0%}"
                            f"   {fmean(o.runs_per_candidate for o in outcomes):7.2f}"
                        )
                print(f"{name:<22}{rule:<13}               {true}     {note}", flush=True)
    print(f"{options.labs} labs a world, seeds from {options.seed}; {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
