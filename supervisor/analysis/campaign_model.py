"""One model of the campaign: every run says something about every commit that is still built on. Pure.

value(commit) = value(parent) + gain; a run = value + device + time + noise. Values, devices and time are believed
jointly. What changes usually gain starts as a generic guess and is learned in the campaign; it is applied to a
candidate once, when its verdict is there, and again to what is built on whenever more is known. Everything here is
in the direction of a gain: positive is better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from supervisor.analysis.gain_prior import Difference, GainEstimate, GainRecord, estimate_gain
from supervisor.analysis.joint_beliefs import JointBeliefs, Loading
from supervisor.analysis.machine_change import Evidence, evidence_of_change

TAIL_DEGREES = 8.0  # of the t that a run's noise follows when its spread is known
UNKNOWN_NOISE_DEGREES = 4.0  # and of the t that a noise which is not known yet leads to, before any repeat
PRIOR_SHARE_OF_LEVEL = 0.002  # what the noise is taken for before anything was repeated
PRIOR_REPEATS = 0.001  # that guess counts as so many repeats: it gives way at once
RELEARN = 1.25  # once the noise turns out this much larger or smaller, everything is weighed again
DEVICE_SD = 0.7  # how far devices may differ, in the noise of one run
LIVE = 7  # commits that are believed jointly; older ones keep what was believed of them
LEAST_SHARE = 1e-9  # of the metric's level: differences below it are rounding
FEEDBACK = 0.3  # of what a discard says of its parent: which ones changed nothing is never sure
STEADY, UNSTEADY = (
    0.02,
    0.15,
)  # how far the machine may wander from one run to the next, in the noise of one run
UNSTEADY_FROM = 0.5  # of the evidence of a change; see `machine_change`
NOISE_DEGREES = (
    6.0  # what the other commits say of the noise counts for at most so many repeats of the baseline
)
YIELD_FADES = 0.98  # from one verdict to the next: what candidates brought lately is what counts
GENERIC_YIELD = (0.15, 10.0)  # of a run, in its noise, and how many runs that guess counts for
TIME = "time"


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """One run that has a metric."""

    commit: str
    parent: str | None  # what the commit was made from; None: the baseline
    device: str
    value: float
    kind: str = ""  # of change


@dataclass(frozen=True, slots=True)
class Settled:
    """A candidate has its verdict: its change counts as one of the campaign's from here on."""

    commit: str
    kept: bool


Happening = MeasuredRun | Settled


@dataclass(slots=True)
class _Commit:
    """What the runs of one commit said so far."""

    parent: str | None
    kind: str
    runs: int = 0
    mean: float = 0.0
    squares: float = 0.0
    settled: bool = False
    precision: float = 0.0  # of what changes usually gain, as it was added to the difference to the parent
    pull: float = 0.0
    used: int = 0  # the last happening that touched it

    def take(self, value: float) -> None:
        self.runs += 1
        step = value - self.mean
        self.mean += step / self.runs
        self.squares += step * (value - self.mean)


@dataclass(frozen=True, slots=True)
class _Weighed:
    """A candidate's difference to its parent, without and with what changes usually gain."""

    estimate: GainEstimate
    difference: float
    variance: float
    own_variance: float  # the part of it that its own runs have


class CampaignModel:
    """What is believed after some runs and verdicts; `take` them in the order in which they happened."""

    def __init__(self, noise_floor: float = 0.0) -> None:
        self.floor = noise_floor
        self.happenings: list[Happening] = []
        self.level: float | None = None
        self.noise_sd = 0.0
        self.wander = STEADY
        self._begin()

    def _begin(self) -> None:
        self.joint = JointBeliefs()
        self.commits: dict[str, _Commit] = {}
        self._record = GainRecord()
        self.squares, self.repeats = 0.0, 0
        self.devices: list[str] = []
        self.past: dict[str, tuple[float, float]] = {}
        self._weighed: dict[str, _Weighed] = {}
        self._clock = self.settled = 0
        self._checks: list[float] = []  # runs of the baseline
        self._first_check = 0
        guess, runs = GENERIC_YIELD
        self._brought, self._spent = guess * runs * self.noise_sd, runs

    @property
    def yield_per_run(self) -> float:
        """What a run of a fresh candidate has brought lately in this campaign, in the metric's unit."""
        return self._brought / self._spent

    def take(self, happening: Happening) -> None:
        """One more run or verdict."""
        self.happenings.append(happening)
        if self.level is None and isinstance(happening, MeasuredRun):
            self.level = happening.value
            self.noise_sd = self._estimate_noise()
            self._begin()
        self._apply(happening)
        noise, wander = self._estimate_noise(), self._estimate_wander()
        if not 1 / RELEARN < noise / self.noise_sd < RELEARN or wander != self.wander:
            self.noise_sd, self.wander = noise, wander
            self._begin()
            for earlier in self.happenings:
                self._apply(earlier)

    def gain(self, commit: str) -> GainEstimate:
        """A candidate's gain over its parent, or that of a commit which is built on."""
        return self._weigh(commit).estimate

    def knows(self, commit: str) -> bool:
        """Whether anything was measured of the commit."""
        return commit in self.commits

    def runs_of(self, commit: str) -> int:
        """How many runs of it were measured."""
        return self.commits[commit].runs

    def holds_pair(self, commit: str) -> bool:
        """Whether a commit and its parent are both still believed jointly."""
        one = self.commits.get(commit)
        return one is not None and commit in self.joint and one.parent in self.joint

    def difference(self, commit: str, other: str) -> tuple[float, float]:
        """How much better a commit is than another, and the SD of that."""
        if commit == other:
            return 0.0, 0.0
        if commit in self.joint and other in self.joint:
            pair: list[Loading] = [(commit, 1.0), (other, -1.0)]
            return self.joint.mean(pair), math.sqrt(self.joint.variance(pair))
        (mean, variance), (other_mean, other_variance) = self._alone(commit), self._alone(other)
        return mean - other_mean, math.sqrt(variance + other_variance)

    def _alone(self, commit: str) -> tuple[float, float]:
        if commit in self.joint:
            return self.joint.mean([(commit, 1.0)]), self.joint.variance([(commit, 1.0)])
        return self.past[commit]

    def _estimate_noise(self) -> float:
        level = abs(self.level or 0.0)
        guess = PRIOR_SHARE_OF_LEVEL * level
        squares, repeats = self.squares + PRIOR_REPEATS * guess**2, self.repeats + PRIOR_REPEATS
        return max(math.sqrt(squares / repeats), self.floor, LEAST_SHARE * level, 1e-300)

    def evidence_of_change(self) -> Evidence:
        """Whether the baseline measures what it did at first."""
        elsewhere = min(self.repeats - len(self._checks) + 1, NOISE_DEGREES)
        return evidence_of_change(self._checks, self._first_check, self.noise_sd, elsewhere)

    def _estimate_wander(self) -> float:
        return UNSTEADY if self.evidence_of_change().log_ratio > UNSTEADY_FROM else STEADY

    def _apply(self, happening: Happening) -> None:
        self._clock += 1
        if isinstance(happening, MeasuredRun):
            self._weighed.clear()
            self._measure(happening)
        else:
            self.settled += 1
            self._settle(happening)

    def _measure(self, run: MeasuredRun) -> None:
        assert self.level is not None
        value, noise = run.value - self.level, self.noise_sd**2
        if TIME not in self.joint:
            self.joint.add(TIME, 0.0, 0.0)
        self.joint.widen(TIME, self.wander**2 * noise)
        where = self._where(run.device)
        one = self.commits.setdefault(run.commit, _Commit(run.parent, run.kind))
        one.used = self._clock
        if run.commit in self.joint:
            self.joint.weigh([(run.commit, 1.0), *where], 1 / noise, value / noise)
        else:
            row, spread = self.joint.covariance(where), self.joint.variance(where)
            mean = value - self.joint.mean(where)
            self.joint.add(run.commit, mean, noise + spread, [-entry for entry in row])
            if run.parent is not None:
                self._recall(run.parent)
        # The noise is what repeats of one commit say, whatever else is believed of it.
        before = one.squares
        one.take(value - self.joint.mean(where))
        self.squares += one.squares - before
        self.repeats += one.runs > 1
        if run.parent is None:
            self._checks.append(value)
            if not self.settled:
                self._first_check = len(self._checks)

    def _where(self, device: str) -> list[Loading]:
        """Devices are compared with the first one."""
        if device not in self.devices:
            self.devices.append(device)
            if len(self.devices) > 1:
                self.joint.add(f"on {device}", 0.0, (DEVICE_SD * self.noise_sd) ** 2)
        where: list[Loading] = [(TIME, 1.0)] if TIME in self.joint else []
        return where if device == self.devices[0] else [*where, (f"on {device}", 1.0)]

    def _recall(self, commit: str) -> None:
        """Something is built on a commit that was set aside."""
        self.commits[commit].used = self._clock
        if commit not in self.joint:
            self.joint.add(commit, *self.past.pop(commit))

    def _settle(self, verdict: Settled) -> None:
        one, weighed = self.commits[verdict.commit], self._weigh(verdict.commit)
        self._record.learn(one.kind, weighed.estimate)
        self._brought = self._brought * YIELD_FADES + (
            max(weighed.estimate.gain, 0.0) if verdict.kept else 0.0
        )
        self._spent = self._spent * YIELD_FADES + one.runs
        self._weighed.clear()
        # What may be an outlier says little of its parent.
        widened = weighed.own_variance * (1 / max(weighed.estimate.trust * FEEDBACK, 0.02) - 1)
        self.joint.widen(verdict.commit, widened)
        self._apply_prior(verdict.commit, weighed, weighed.variance + widened)
        one.settled = True
        if not verdict.kept:
            self._set_aside(verdict.commit)
        parent = one.parent
        if parent is not None and self.commits[parent].settled and self.commits[parent].parent in self.joint:
            again = self._weigh(parent)
            self._apply_prior(parent, again, again.variance)
        self._forget()

    def _weigh(self, commit: str) -> _Weighed:
        if commit not in self._weighed:
            self._weighed[commit] = self._weigh_now(commit)
        return self._weighed[commit]

    def _weigh_now(self, commit: str) -> _Weighed:
        one, noise = self.commits[commit], self.noise_sd**2
        assert one.parent is not None
        pair: list[Loading] = [(commit, 1.0), (one.parent, -1.0)]
        mean, variance = self.joint.mean(pair), max(self.joint.variance(pair), 1e-12 * noise)
        # What the prior was said to be before is taken out first.
        left = max(1 - one.precision * variance, 1e-6)
        difference, variance = (mean - one.pull * variance) / left, variance / left
        own = min(noise / one.runs, variance)
        # A change may be noisier than what it changes; its own repeats tell.
        spread = (TAIL_DEGREES * noise + one.squares) / (TAIL_DEGREES + one.runs - 1) / noise
        known = 1 / (TAIL_DEGREES + one.runs - 1) + 1 / (UNKNOWN_NOISE_DEGREES + self.repeats)
        seen = Difference(difference, variance - own, own * spread, 1 / known)
        return _Weighed(
            estimate_gain(seen, self._record.prior(one.kind, self.noise_sd)), difference, variance, own
        )

    def _apply_prior(self, commit: str, weighed: _Weighed, variance: float) -> None:
        """The difference to the parent becomes what it is once one knows what changes usually gain."""
        one, estimate = self.commits[commit], weighed.estimate
        assert one.parent is not None
        spread = max(estimate.sd**2, 1e-6 * self.noise_sd**2)
        precision = 1 / spread - 1 / variance
        pull = estimate.gain / spread - weighed.difference / variance
        pair: list[Loading] = [(commit, 1.0), (one.parent, -1.0)]
        self.joint.weigh(pair, precision - one.precision, pull - one.pull)
        one.precision, one.pull = precision, pull

    def _forget(self) -> None:
        """Keep few commits in the joint beliefs: the baseline, what candidates are held against, the latest."""
        needed = {one.parent for one in self.commits.values() if not one.settled}
        live = [name for name in self.joint.names if name in self.commits and self.commits[name].settled]
        spare = sorted(
            (name for name in live if name not in needed), key=lambda name: self.commits[name].used
        )
        for name in spare[: max(len(live) - LIVE, 0)]:
            self._set_aside(name)

    def _set_aside(self, commit: str) -> None:
        self.past[commit] = self._alone(commit)
        self.joint.drop(commit)
