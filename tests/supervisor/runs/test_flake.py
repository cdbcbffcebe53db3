"""A run that failed of what may be gone the next time is made again, once, as it is."""

from __future__ import annotations

from pathlib import Path

from sessions.runs.contract import OUTCOME_FILE, RunEnding, RunOutcome, to_json
from supervisor.lab.state_folder import prepare_state
from supervisor.model.experiment import Run
from supervisor.model.states import RunState
from supervisor.runs.run import collect_run
from supervisor.runs.spec import run_directory
from tests.worlds.fast_motion import TAG, World
from tests.worlds.labs import make_toy_lab

FLAKE = "RuntimeError: CUDA error: unspecified launch failure (train.py:3)"


def test_a_flake_is_queued_again_with_its_seed_and_the_second_one_is_a_crash(tmp_path: Path) -> None:
    lab = make_toy_lab(tmp_path / "lab")
    prepare_state(lab)
    world = World(lab.state_dir, devices=1)
    world.act()

    def ends_in_a_flake() -> Run:
        (run,) = world.running()
        directory = run_directory(lab, run)
        directory.mkdir(parents=True)
        outcome = RunOutcome(run.id, RunEnding.CRASHED, FLAKE, None, 0.0, 9.0, 9.0, 9.0, 9.0, 1.0, 100.0)
        (directory / OUTCOME_FILE).write_text(to_json(outcome))
        assert collect_run(lab, world.store, TAG, run, world.now)
        after = world.snapshot().run(run.id)
        assert after is not None
        assert after.seed == run.seed
        return after

    again = ends_in_a_flake()
    assert (again.state, again.attempt) == (RunState.QUEUED, 2)
    assert FLAKE in again.voided[0]
    world.act()
    crashed = ends_in_a_flake()
    assert (crashed.state, crashed.ending) == (RunState.FINISHED, RunEnding.CRASHED)
    assert crashed.reason.startswith(FLAKE)
