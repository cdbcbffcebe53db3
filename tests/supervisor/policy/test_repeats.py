"""Replications are a budget: spent on the closest call first, and not on devices that could train a candidate."""

from __future__ import annotations

import dataclasses

import pytest

from supervisor.analysis.sequential_test import DecideRules
from supervisor.model.experiment import Experiment, Run
from supervisor.model.snapshot import Device, LabSnapshot
from supervisor.model.states import ExperimentState, RunKind, RunState
from supervisor.policy.run_queue import repeat_share, start_runs
from tests.tui.screen import snapshots


def queued(one_id: str, ordinal: int, kind: RunKind) -> Run:
    run = dataclasses.replace(snapshots.run(one_id, ordinal, None, kind), ending=None, state=RunState.QUEUED)
    return dataclasses.replace(run, started_at=None, finished_at=None, device=None)


def undecided(number: int, *runs: Run, state: ExperimentState = ExperimentState.MEASURING) -> Experiment:
    return dataclasses.replace(
        snapshots.baseline(), id=f"e{number:04d}", agent=f"junior-{number}", parent_id="e0000", verdict=None,
        state=state, decided_at=None, runs=runs,
    )  # fmt: skip


def in_between(number: int, metric: float, repeats: int = 0) -> Experiment:
    one = f"e{number:04d}"
    done = [snapshots.run(one, 1, metric)]
    done += [snapshots.run(one, 2 + k, metric, RunKind.REPLICATION) for k in range(repeats)]
    return undecided(number, *done, queued(one, 2 + repeats, RunKind.REPLICATION))


def lab(*more: Experiment, devices: int = 1) -> LabSnapshot:
    free = tuple(Device(f"cpu:{n}", "cpu", f"core {n}") for n in range(devices))
    return dataclasses.replace(
        snapshots.mid(), agents=(), experiments=(snapshots.baseline(), *more), devices=free
    )


def started(snapshot: LabSnapshot, share: float = 0.5) -> list[str]:
    return [start.run_id for start in start_runs(snapshot, DecideRules(repeat_share=share), candidates=True)]


CANDIDATE = undecided(9, queued("e0009", 1, RunKind.CANDIDATE), state=ExperimentState.READY)


def test_the_most_promising_repeat_goes_first() -> None:
    assert started(lab(in_between(1, 1.898), in_between(2, 1.89), in_between(3, 1.896))) == ["e0002.2"]


def test_within_the_budget_a_verdict_goes_before_a_candidate() -> None:
    assert started(lab(CANDIDATE, in_between(1, 1.89))) == ["e0001.2"]


def test_beyond_the_budget_a_candidate_goes_first_and_an_idle_device_repeats_freely() -> None:
    spent = lab(CANDIDATE, in_between(1, 1.89, repeats=2))
    assert repeat_share(spent) == pytest.approx(2 / 3)
    assert started(spent) == ["e0009.1"]
    assert started(spent, share=0.7) == ["e0001.4"]
    assert started(dataclasses.replace(spent, devices=lab(devices=2).devices)) == ["e0009.1", "e0001.4"]
    assert started(lab(in_between(1, 1.89, repeats=2))) == ["e0001.4"]


def test_the_baseline_is_no_repeat() -> None:
    assert repeat_share(lab()) == 0.0
