"""How many runs prove a keep."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from supervisor.analysis.champion import CHAMPION_RUNS, is_proven, runs_to_prove
from supervisor.model.guarantees import Guarantees
from supervisor.model.states import Verdict
from tests.worlds.fast_motion import SD, World


def test_where_every_repeat_is_the_same_number_one_run_proves_a_keep(tmp_path: Path) -> None:
    world = World(tmp_path, juniors=1, experiments=2, gain_of=lambda n: 20 * SD if n == 1 else 0.0)
    end = world.play()
    kept = next(e for e in end.experiments if e.verdict is Verdict.KEEP)
    known = replace(kept, runs=(*kept.deciding_runs, kept.unbiased_runs[0]))
    printed = Guarantees(referee=False, seeds=False, smoke=False, holdout=False, checks=False)
    for deterministic in (True, False):
        snapshot = replace(end, guarantees=replace(printed, deterministic=deterministic))
        assert is_proven(snapshot, known) is deterministic
        assert runs_to_prove(snapshot) == (1 if deterministic else CHAMPION_RUNS)
