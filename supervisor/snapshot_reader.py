"""One way to see the lab: rows, notes and the supervisor's pulse as one frozen `LabSnapshot`."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from sessions.locks import is_locked
from supervisor.analysis.champion import with_analysis
from supervisor.lab.config import guarantees_of
from supervisor.lab.notes import read_notes
from supervisor.lab.paths import Lab
from supervisor.lab.state_folder import disk_trouble
from supervisor.model.snapshot import LabSnapshot
from supervisor.store.connection import Store
from supervisor.store.reading import read_rows

MAX_AGE_S = 1.0


def read_snapshot(lab: Lab, store: Store, now: float) -> LabSnapshot:
    """The whole lab as of `now` (epoch seconds). Raises StoreError."""
    rows = read_rows(
        store,
        lab.root,
        now,
        notes=read_notes(lab.notes_dir),
        supervisor_alive=is_locked(lab.supervisor_lock),
    )
    trouble, measured = disk_trouble(lab.state_dir) or device_trouble(rows), lab.config.metric
    rows = replace(rows, trouble=trouble, unit=measured.unit, secondary=measured.secondary)
    on_gpus = any(device.uuid for device in rows.devices)
    rows = replace(rows, devices_per_run=lab.config.devices.gpus if on_gpus else 1)
    guarantees = guarantees_of(lab.config, has_referee=lab.has_referee)
    return with_analysis(rows, lab.config.decide.noise_floor, guarantees)


@dataclass(slots=True)
class LabReader:
    """Reads the lab again only when a transition happened, or when time alone may have changed it."""

    lab: Lab
    store: Store
    _last: LabSnapshot | None = None

    def read(self) -> LabSnapshot:
        """The lab as it is: rows as of now, notes and the supervisor's pulse at most `MAX_AGE_S` old."""
        now, last = time.time(), self._last
        if last is None or last.version != self.store.version() or not 0 <= now - last.taken_at < MAX_AGE_S:
            self._last = last = read_snapshot(self.lab, self.store, now)
        return last


def device_trouble(snapshot: LabSnapshot) -> str:
    """Why nothing can be measured, when every device is out or busy; "" otherwise."""
    if not snapshot.devices or not all(device.problem or device.avoided for device in snapshot.devices):
        return ""
    first = snapshot.devices[0]
    what = "is out" if first.problem else "is busy"
    why = first.problem or first.neighbour
    others = f" (and {len(snapshot.devices) - 1} more)" if len(snapshot.devices) > 1 else ""
    return f"no device is free to measure on: {first.id} {what}: {why}{others}"
