"""What child processes of a test run: they import this by name, which they could not with a test's own module."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from supervisor.store import experiments
from supervisor.store.connection import Store
from tests.worlds.fast_motion import TAG


def claim_many(path: Path, name: str, answers: multiprocessing.SimpleQueue[list[str]]) -> None:
    """One agent's process: claim as long as there is anything."""
    store = Store(path / "lab.db")
    begun = (experiments.begin_experiment(store, TAG, name, 1.0, without_hypothesis=False) for _ in range(40))
    answers.put([one for one in begun if one])
