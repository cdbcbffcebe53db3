"""What a verdict rests on: its runs, what it was held against, the rule, what it cost. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from supervisor.analysis.champion import is_proven
from supervisor.analysis.noise import mean
from supervisor.analysis.sequential_test import DecisionRule
from supervisor.analysis.student_t import interval_reach
from supervisor.model.experiment import DECIDED_BEFOREHAND, DECIDING, Experiment, Run
from supervisor.model.snapshot import LabSnapshot, Noise
from supervisor.model.states import RunKind, Verdict


class Part(StrEnum):
    """What a run is to its experiment's figures."""

    DECIDED = "decided"  # the verdict rests on it
    ESTIMATES = "estimates"  # decided beforehand: it says honestly how good the commit is
    CHECKS = "checks drift"  # the machine, not the code
    NONE = ""  # not finished, or without a metric that counts


@dataclass(frozen=True, slots=True)
class IncumbentAtVerdict:
    """The incumbent as the verdict knew it."""

    experiment: Experiment
    runs: tuple[Run, ...]  # measured before the verdict and decided beforehand
    runs_by_now: int

    @property
    def metric(self) -> float | None:
        """Their mean."""
        values = [run.metric for run in self.runs if run.metric is not None]
        return mean(values) if values else None


@dataclass(frozen=True, slots=True)
class VerdictBasis:
    """One experiment's verdict with its grounds."""

    decided_by: tuple[Run, ...]
    estimated_by: tuple[Run, ...]
    against: IncumbentAtVerdict | None
    rule: DecisionRule | None  # None: no statistics were asked, or it is not decided
    runs: int  # that were started
    device_s: float  # that they held a device


def verdict_basis_of(snapshot: LabSnapshot, experiment: Experiment) -> VerdictBasis:
    """Everything that the rows say about a verdict."""
    started = [run for run in experiment.runs if run.started_at is not None]
    by = {part: tuple(r for r in experiment.runs if part_of(experiment, r) is part) for part in Part}
    return VerdictBasis(
        decided_by=by[Part.DECIDED],
        estimated_by=by[Part.ESTIMATES],
        against=_against(snapshot, experiment),
        rule=rule_of(experiment),
        runs=len(started),
        device_s=sum(held_s(run) or 0.0 for run in started),
    )


def part_of(experiment: Experiment, run: Run) -> Part:
    """What the run is to its experiment's figures; a failed first run decides too."""
    if run.kind in DECIDED_BEFOREHAND and run.metric is not None:
        return Part.ESTIMATES
    if run.kind is RunKind.DRIFT:
        return Part.CHECKS
    failed = run.ending is not None and experiment.verdict not in (Verdict.KEEP, Verdict.DISCARD)
    if experiment.verdict is not None and run.kind in DECIDING:
        return Part.DECIDED if run.metric is not None or failed else Part.NONE
    return Part.NONE


def rule_of(experiment: Experiment) -> DecisionRule | None:
    """The statistical rule behind the verdict, as its reason names it."""
    if experiment.verdict not in (Verdict.KEEP, Verdict.DISCARD):
        return None
    return next((rule for rule in DecisionRule if f"{rule}: gain " in experiment.reason), None)


def held_s(run: Run) -> float | None:
    """Seconds for which a finished run held its device, smoke and start-up among them."""
    if run.started_at is None or run.finished_at is None:
        return run.total_s
    return max(run.finished_at - run.started_at, 0.0)


def margin(noise: Noise | None, runs: int) -> float | None:
    """Half of the 95 % interval of a mean over so many runs, in the metric's unit; None: nothing is known."""
    if noise is None or noise.degrees_of_freedom <= 0 or runs < 1:
        return None
    return interval_reach(noise.degrees_of_freedom) * noise.sd / math.sqrt(runs)


def runs_behind(experiment: Experiment) -> int:
    """How many runs the experiment's figure is the mean of."""
    return len(experiment.unbiased_runs or experiment.deciding_runs)


def is_unverified(snapshot: LabSnapshot, experiment: Experiment) -> bool:
    """Whether something about it was flagged and no verification has answered that yet."""
    return bool(experiment.flags) and not is_proven(snapshot, experiment)


def _against(snapshot: LabSnapshot, experiment: Experiment) -> IncumbentAtVerdict | None:
    parent = snapshot.experiment(experiment.parent_id)
    if parent is None:
        return None
    until = experiment.decided_at if experiment.decided_at is not None else snapshot.taken_at
    then = tuple(r for r in parent.unbiased_runs if r.finished_at is None or r.finished_at <= until)
    return IncumbentAtVerdict(parent, then, len(parent.unbiased_runs))
