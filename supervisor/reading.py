"""One way to see the lab: rows, notes and the supervisor's pulse as one frozen `LabSnapshot`."""

from __future__ import annotations

from supervisor.lab import Lab
from supervisor.locks import is_locked
from supervisor.notes import read_notes
from supervisor.snapshot import LabSnapshot
from supervisor.standing import with_standing
from supervisor.store.connection import Store
from supervisor.store.reading import read_rows


def read_snapshot(lab: Lab, store: Store, now: float) -> LabSnapshot:
    """The whole lab as of `now` (epoch seconds). Raises StoreError."""
    rows = read_rows(
        store,
        lab.root,
        now,
        notes=read_notes(lab.notes_dir),
        supervisor_alive=is_locked(lab.supervisor_lock),
    )
    return with_standing(rows, lab.config.decide.noise_floor)
