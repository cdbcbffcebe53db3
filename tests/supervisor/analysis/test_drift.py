"""Drift checks: a changed machine is told beyond doubt, an unchanged one hardly ever, and no estimate follows it."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest

from supervisor.analysis.champion import with_analysis
from supervisor.analysis.drift import check_due, drift_of
from supervisor.analysis.sequential_test import DecideRules
from supervisor.model.experiment import Run
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import RunKind, RunState
from tests.tui.screen import snapshots
from tests.worlds.fast_motion import SD, World
from tui.screen.panels.header import header_line

LEVEL = 1.9
BASE = (0.3, -1.2, 0.9, -0.4, 0.5)  # in SDs
EVERY = 4


def lab(*checks: float | None, base: tuple[float, ...] = BASE) -> LabSnapshot:
    """A lab whose baseline was measured so, then checked so; in SDs above the level, None for a failed check."""
    runs = [snapshots.run("e0000", k, LEVEL + SD * z, RunKind.BASELINE) for k, z in enumerate(base, start=1)]
    runs += [
        dataclasses.replace(
            snapshots.run("e0000", k, None if z is None else LEVEL + SD * z, RunKind.DRIFT),
            queued_at=snapshots.NOW + k,
            started_at=snapshots.NOW + k,
        )
        for k, z in enumerate(checks, start=len(base) + 1)
    ]
    one = dataclasses.replace(snapshots.baseline(), runs=tuple(runs))
    return dataclasses.replace(snapshots.mid(), experiments=(one,), noise=None)


def test_a_changed_machine_is_told_with_its_size_and_its_beginning() -> None:
    drift = drift_of(lab(0.4, -0.3, 12.0, 11.0, 13.0))
    assert drift is not None
    assert drift.change == pytest.approx(12 * SD, rel=0.05)
    assert drift.p < 0.001
    assert drift.since_run == "e0000.8" and drift.runs == ("e0000.8", "e0000.9", "e0000.10")
    assert drift.since == snapshots.NOW + 8


@pytest.mark.parametrize("checks", [(), (30.0,), (0.2, 30.0), (1.0, 0.8), (20.0, 0.0, 0.1)], ids=str)
def test_one_wild_check_or_a_small_change_is_no_drift(checks: tuple[float, ...]) -> None:
    assert drift_of(lab(*checks)) is None


def test_an_unchanged_machine_is_hardly_ever_accused() -> None:
    draw = random.Random(7)

    def is_accused() -> bool:
        checks = [draw.gauss(0, 1) for _ in range(5)]
        base = tuple(draw.gauss(0, 1) for _ in range(4))
        return any(drift_of(lab(*checks[:n], base=base)) for n in range(2, 6))

    assert sum(is_accused() for _ in range(1000)) <= 12


def test_the_baseline_and_the_noise_do_not_follow_the_machine() -> None:
    still, moved = with_analysis(lab(), 0.0), with_analysis(lab(12.0, 11.0, 13.0), 0.0)
    assert moved.experiments[0].metric == still.experiments[0].metric
    assert still.noise is not None and moved.noise is not None and moved.drift is not None
    assert moved.noise.sd < 1.3 * still.noise.sd
    assert moved.noise.degrees_of_freedom == still.noise.degrees_of_freedom + 2


def test_the_floor_of_the_noise_is_believed() -> None:
    assert drift_of(lab(12.0, 11.0), noise_floor=10 * SD) is None


def test_a_suspicious_check_is_repeated_at_once_and_then_no_more() -> None:
    assert "once more" in check_due(lab(6.0), 20)
    assert check_due(lab(0.5), 20) == ""
    assert check_due(lab(6.0, 5.0), 20) == ""
    assert check_due(lab(0.1, 6.0), 20) != ""
    assert check_due(lab(6.0, None), 20) == ""  # it failed: the next one comes in its time


def checks_of(world: World) -> list[Run]:
    return [run for run in world.experiment("e0000").runs if run.kind is RunKind.DRIFT]


def test_the_baseline_runs_again_every_so_often_one_at_a_time(tmp_path: Path) -> None:
    world = World(tmp_path, rules=DecideRules(drift_every=EVERY), experiments=4 * EVERY, seed=3)
    most = 0
    for _ in range(400):
        world.draft_all()
        world.act()
        most = max(most, sum(r.state in (RunState.QUEUED, RunState.RUNNING) for r in checks_of(world)))
        running = world.running()
        if not running:
            break
        world.finish(running[0])
    assert 2 <= len(checks_of(world)) <= 6
    assert most == 1
    assert all(run.metric is not None for run in checks_of(world))
    assert world.snapshot().drift is None


def test_never_means_never(tmp_path: Path) -> None:
    world = World(tmp_path, rules=DecideRules(drift_every=0), experiments=8)
    world.play()
    assert checks_of(world) == []


def test_a_machine_that_changes_under_way_is_found(tmp_path: Path) -> None:
    world = World(tmp_path, rules=DecideRules(drift_every=EVERY), experiments=5 * EVERY)
    for _ in range(400):
        world.draft_all()
        world.act()
        running = world.running()
        if not running:
            break
        if world.snapshot().counted >= EVERY - 1 and world.truth["base"] == 2.0:
            world.truth = {commit: value + 15 * SD for commit, value in world.truth.items()}
        world.finish(running[0])
    drift = world.snapshot().drift
    assert drift is not None and drift.change == pytest.approx(15 * SD, abs=3 * SD)


def test_the_header_says_so() -> None:
    moved = dataclasses.replace(snapshots.mid(), drift=drift_of(lab(12.0, 11.0)))
    for width in (78, 158):
        text = "".join(part for part, _ in header_line(moved, snapshots.NOW, "", width))
        assert "machine drifts +.11" in text
