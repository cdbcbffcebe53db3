"""Kill any process: what was training goes on, what was measured counts once."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.model.experiment import Run
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import RunState
from tests.worlds.labs import TOY_CANVAS, make_toy_lab
from tests.worlds.live import LiveLab, live

pytestmark = pytest.mark.timeout(300)
SLOW_CANVAS = TOY_CANVAS.replace("SECONDS = 0.5", "SECONDS = 4.0")


def finished(run: Run) -> object:
    def has_finished(snapshot: LabSnapshot) -> bool:
        now = snapshot.run(run.id)
        return now is not None and now.state is RunState.FINISHED

    return has_finished


def counted_once(running: LiveLab, run: Run) -> LabSnapshot:
    end = running.wait(finished(run), f"{run.id} finished")  # type: ignore[arg-type]
    results = [event for event in end.events if event.text.startswith(f"{run.id} → ")]
    assert len(results) == 1
    return end


def test_a_killed_supervisor_is_replaced_and_adopts_the_training(tmp_path: Path) -> None:
    lab = make_toy_lab(tmp_path / "lab", SLOW_CANVAS)
    with live(lab) as running:
        running.launch_and_leave("20", "1")
        run = running.wait_for_run()
        trainer = running.trainers(run)[0]
        for process in running.processes("supervise", str(lab.root)):
            if "keeper" not in process.cmdline():
                running.kill(process)
        assert trainer.is_running()
        end = counted_once(running, run)
        again = end.run(run.id)
        assert again is not None and (again.attempt, again.metric is not None) == (1, True)
        running.wait(lambda s: s.supervisor_alive, "a new supervisor")


def test_a_killed_junior_comes_back_and_its_training_goes_on(tmp_path: Path) -> None:
    lab = make_toy_lab(tmp_path / "lab", SLOW_CANVAS)
    with live(lab) as running:
        running.launch_and_leave("20", "1")
        run = running.wait_for_run(lambda one: one.experiment_id != "e0000")
        trainer = running.trainers(run)[0]
        old = running.processes("agent", "junior-1", str(lab.root))[0]
        running.kill(old)
        assert trainer.is_running()
        end = counted_once(running, run)
        attempt = end.run(run.id)
        assert attempt is not None and attempt.attempt == 1
        running.wait(
            lambda _: any(p.pid != old.pid for p in running.processes("agent", "junior-1", str(lab.root))),
            "a successor",
        )
        running.wait(lambda s: len([e for e in s.experiments if e.verdict]) >= 2, "the next verdict")


def test_a_killed_runner_takes_its_trainer_along_and_the_run_is_made_again_once(tmp_path: Path) -> None:
    lab = make_toy_lab(tmp_path / "lab", SLOW_CANVAS)
    with live(lab) as running:
        running.launch_and_leave("20", "1")
        run = running.wait_for_run()
        trainer = running.trainers(run)[0]
        running.kill(running.runner(run))
        trainer.wait(timeout=20)
        end = counted_once(running, run)
        again = end.run(run.id)
        assert again is not None and (again.attempt, again.metric is not None) == (2, True)


def test_stop_ends_every_process_and_launch_goes_on(tmp_path: Path) -> None:
    lab = make_toy_lab(tmp_path / "lab", SLOW_CANVAS)
    with live(lab) as running:
        running.launch_and_leave("20", "1")
        running.wait_for_run()
        assert running.cli("stop").returncode == 0
        running.wait(lambda s: not s.supervisor_alive, "the supervisor's end")
        running.wait(lambda _: not running.processes("train.py", str(lab.benches_dir)), "no trainer")
        assert not running.processes("_runner", str(lab.root))
        stopped = running.snapshot()
        assert not any(device.run_id for device in stopped.devices)
        running.launch_and_leave("20", "1")
        run = running.wait_for_run()
        counted_once(running, run)
