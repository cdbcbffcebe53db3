"""Has the machine changed? Now and then the baseline's commit runs again, and is held against its first runs. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from supervisor.analysis.noise import estimate_noise, mean
from supervisor.analysis.student_t import upper_tail
from supervisor.model.experiment import Experiment, Run
from supervisor.model.snapshot import Drift, LabSnapshot, Noise
from supervisor.model.states import RunKind

CERTAIN = 0.001  # p below which a change is told, from two checks
SUSPICIOUS = 0.05  # p below which one check asks for a second one at once
CHECKS_NEEDED = 2


def drift_of(snapshot: LabSnapshot, noise_floor: float = 0.0) -> Drift | None:
    """What the last drift checks say, when it is beyond doubt; `noise_floor` is in the metric's unit.

    They are held against what ran before the first of them.
    """
    baseline = snapshot.experiment(snapshot.baseline_id)
    if baseline is None:
        return None
    checks = drift_checks(baseline)
    noise = _noise_before(snapshot, checks, noise_floor)
    if len(checks) < CHECKS_NEEDED or noise is None:
        return None
    change, p = _change(baseline, checks[-CHECKS_NEEDED:], noise)
    streak = _streak(baseline, checks, noise, math.copysign(1.0, change))
    if p >= CERTAIN or len(streak) < CHECKS_NEEDED:
        return None
    size = _change(baseline, streak, noise)[0]
    return Drift(size, p, streak[0].id, _begun(streak[0]), tuple(r.id for r in streak))


def drift_checks(baseline: Experiment) -> tuple[Run, ...]:
    """The measured drift checks, oldest first."""
    return tuple(run for run in baseline.runs if run.kind is RunKind.DRIFT and run.metric is not None)


def noise_groups(snapshot: LabSnapshot, drift: Drift | None) -> tuple[tuple[float, ...], ...]:
    """The metrics whose spread is the lab's noise: each commit's runs, and the drift checks as a group of their own.

    A change of the machine parts every group in two, or it would count as noise.
    """
    groups = [one.unbiased_runs for one in snapshot.experiments]
    if (baseline := snapshot.experiment(snapshot.baseline_id)) is not None:
        groups.append(drift_checks(baseline))
    since = drift.since if drift else math.inf
    sides = [(group, late) for group in groups for late in (False, True)]
    parts = [[run for run in group if (_begun(run) >= since) is late] for group, late in sides]
    return tuple(tuple(run.metric for run in part if run.metric is not None) for part in parts if part)


def check_due(snapshot: LabSnapshot, every: int, noise_floor: float = 0.0) -> str:
    """Why the baseline should run again now, or ""; `every` counts decided experiments, 0 is never."""
    baseline = snapshot.experiment(snapshot.baseline_id)
    if every == 0 or baseline is None or not baseline.unbiased_runs:
        return ""
    drift_runs = [run for run in baseline.runs if run.kind is RunKind.DRIFT]
    if any(run.is_under_way for run in drift_runs):
        return ""
    if _is_newly_suspicious(snapshot, baseline, noise_floor):
        return "the last drift check looks different: once more"
    last_at = drift_runs[-1].queued_at if drift_runs else -math.inf
    others = (one for one in snapshot.experiments if one is not baseline and one.is_decided)
    decided = sum((one.decided_at or 0.0) > last_at for one in others)
    return f"drift check: {decided} experiments since the last one" if decided >= every else ""


def _is_newly_suspicious(snapshot: LabSnapshot, baseline: Experiment, floor: float) -> bool:
    checks = drift_checks(baseline)
    noise = _noise_before(snapshot, checks, floor)
    failed_since = [r for r in baseline.runs if r.kind is RunKind.DRIFT and r.metric is None]
    if not checks or noise is None or (failed_since and failed_since[-1].ordinal > checks[-1].ordinal):
        return False
    suspicious = [_change(baseline, [run], noise)[1] < SUSPICIOUS for run in checks[-2:]]
    return suspicious[-1] and not (len(suspicious) == CHECKS_NEEDED and suspicious[0])


def _change(baseline: Experiment, checks: Sequence[Run], noise: Noise) -> tuple[float, float]:
    """How far the checks lie above the baseline's runs, and the two-sided p of it."""
    values = [run.metric for run in checks if run.metric is not None]
    first = next(run.ordinal for run in baseline.runs if run.kind is RunKind.DRIFT)
    earlier = [run for run in baseline.unbiased_runs if run.ordinal < first]
    base = [run.metric for run in earlier or baseline.unbiased_runs if run.metric is not None]
    change = mean(values) - mean(base)
    error = noise.sd * math.sqrt(1 / len(values) + 1 / len(base))
    if error == 0:
        return change, 0.0 if change else 1.0
    return change, 2 * upper_tail(abs(change) / error, noise.degrees_of_freedom)


def _streak(baseline: Experiment, checks: Sequence[Run], noise: Noise, side: float) -> tuple[Run, ...]:
    """The last checks that each look different, to that side: one wild run is no changed machine."""
    first = len(checks)
    while first > 0:
        change, p = _change(baseline, [checks[first - 1]], noise)
        if change * side <= 0 or p >= SUSPICIOUS:
            break
        first -= 1
    return tuple(checks[first:])


def _begun(run: Run) -> float:
    return run.queued_at if run.started_at is None else run.started_at


def _noise_before(snapshot: LabSnapshot, checks: Sequence[Run], floor: float) -> Noise | None:
    """The noise of what ran before the first check: whatever changed since cannot hide itself in it."""
    until = min((_begun(run) for run in checks), default=math.inf)
    groups = [
        [run.metric for run in one.unbiased_runs if run.metric is not None and _begun(run) < until]
        for one in snapshot.experiments
    ]
    noise = estimate_noise([group for group in groups if group], floor=floor) if any(groups) else None
    return noise if noise is not None and noise.degrees_of_freedom > 0 else None
