"""A candidate's further runs: the most promising one first, and before fresh candidates."""

from __future__ import annotations

import dataclasses

from supervisor.model.experiment import Experiment, Run
from supervisor.model.snapshot import Device, LabSnapshot
from supervisor.model.states import ExperimentState, RunKind, RunState
from supervisor.policy.run_queue import start_runs
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


def started(snapshot: LabSnapshot) -> list[str]:
    return [start.run_id for start in start_runs(snapshot, candidates=True)]


CANDIDATE = undecided(9, queued("e0009", 1, RunKind.CANDIDATE), state=ExperimentState.READY)


def test_the_most_promising_repeat_goes_first() -> None:
    assert started(lab(in_between(1, 1.898), in_between(2, 1.89), in_between(3, 1.896))) == ["e0002.2"]


def test_a_repeat_was_worth_more_than_a_fresh_candidate_and_goes_before_it() -> None:
    assert started(lab(CANDIDATE, in_between(1, 1.89))) == ["e0001.2"]
    assert started(lab(CANDIDATE, in_between(1, 1.89), devices=2)) == ["e0001.2", "e0009.1"]
