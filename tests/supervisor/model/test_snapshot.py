"""The snapshot as data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import ExperimentState


def test_a_changed_copy_knows_its_own_experiments() -> None:
    one = Experiment("e0001", "junior-1", "t", ExperimentState.READY, None, "c" * 40, "s", 0.0)
    lab = LabSnapshot(Path("/lab"), 0.0, 1, None, experiments=(one,))
    assert lab.experiment("e0001") is one
    assert replace(lab, experiments=()).experiment("e0001") is None
