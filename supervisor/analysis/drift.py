"""Has the machine changed? Now and then the baseline's commit runs again, and is held against its first runs. Pure."""

from __future__ import annotations

import math

from supervisor.analysis.machine_change import Evidence, evidence_of_change
from supervisor.analysis.noise import GIVEN_WAY, estimate_noise
from supervisor.model.experiment import Experiment, Run
from supervisor.model.snapshot import Drift, LabSnapshot
from supervisor.model.states import RunKind

CHECKS_IN_A_ROW = 5  # that a suspicion may cost; then the next one comes in its time
NOISE_DEGREES = 6.0  # what is known of the noise from elsewhere counts as at most so many repeats


def drift_of(snapshot: LabSnapshot, noise_floor: float = 0.0) -> Drift | None:
    """What the drift checks say, when it is beyond doubt; `noise_floor` is in the metric's unit."""
    baseline = snapshot.experiment(snapshot.baseline_id)
    if baseline is None:
        return None
    runs, evidence = _evidence(snapshot, baseline, noise_floor)
    if not evidence.is_certain:
        return None
    changed = runs[evidence.since :]
    return Drift(
        change=evidence.change,
        p=math.exp(-evidence.log_ratio),
        since_run=changed[0].id,
        since=_begun(changed[0]),
        runs=tuple(run.id for run in changed),
    )


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
    checks = [run for run in baseline.runs if run.kind is RunKind.DRIFT]
    if any(run.is_under_way for run in checks):
        return ""
    others = [one.decided_at or 0.0 for one in snapshot.experiments if one is not baseline and one.is_decided]
    if checks and checks[-1].metric is not None:
        in_a_row = len(checks) < CHECKS_IN_A_ROW or _since(others, checks[-CHECKS_IN_A_ROW]) >= every
        if in_a_row and _evidence(snapshot, baseline, noise_floor)[1].is_suspicious:
            return "the last drift check looks different: once more"
    decided = _since(others, checks[-1]) if checks else len(others)
    return f"drift check: {decided} experiments since the last one" if decided >= every else ""


def _since(decided_at: list[float], check: Run) -> int:
    return sum(at > check.queued_at for at in decided_at)


def _evidence(snapshot: LabSnapshot, baseline: Experiment, floor: float) -> tuple[tuple[Run, ...], Evidence]:
    runs = tuple(r for r in (*baseline.unbiased_runs, *drift_checks(baseline)) if r.metric is not None)
    runs = tuple(sorted(runs, key=lambda run: run.ordinal))
    first = next((at for at, run in enumerate(runs) if run.kind is RunKind.DRIFT), len(runs))
    until = _begun(runs[first]) if first < len(runs) else math.inf
    # Whatever changed since the first check cannot hide itself in the noise.
    groups = [
        [run.metric for run in one.unbiased_runs if run.metric is not None and _begun(run) < until]
        for one in snapshot.experiments
    ]
    values = [run.metric for run in runs if run.metric is not None]
    if first == len(runs) or not any(groups):
        return runs, evidence_of_change(values, first, 0.0, 0.0)
    noise = estimate_noise([group for group in groups if group], prior_weight=GIVEN_WAY, floor=floor)
    elsewhere = min(noise.degrees_of_freedom - (first - 1), NOISE_DEGREES)
    return runs, evidence_of_change(values, first, noise.sd, elsewhere)


def _begun(run: Run) -> float:
    return run.queued_at if run.started_at is None else run.started_at
