"""Writing: the devices of the lab, what is seen of them, and what that does to their runs."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from sessions.devices.discovery import FoundDevice
from supervisor.model.records import DeviceSight
from supervisor.model.states import RunState
from supervisor.store import rows
from supervisor.store.campaigns import record_event
from supervisor.store.connection import Connection, Store

GONE = "the driver does not list it any more; it was there at the last launch"


def record_devices(
    store: Store, devices: Sequence[FoundDevice], now: float, listed: Collection[str] | None = None
) -> None:
    """Take these devices into use and all others out of it; a lease that is held stays.

    A device with a UUID keeps the id under which the lab first met it, however they are counted now. `listed`
    has every UUID that the driver lists: one that was in use and is not among them is shown as gone, once.
    """
    with store.transaction() as db:
        in_use = db.execute("SELECT id, uuid, gone FROM devices WHERE in_use = 1 AND uuid != ''").fetchall()
        db.execute("UPDATE devices SET in_use = 0, gone = 0")
        for device in devices:
            _take_into_use(db, device, now)
        for row in in_use:
            if listed is not None and row["uuid"] not in listed and not row["gone"]:
                shown = {"in_use": 1, "gone": 1, "problem": GONE, "since": now, "reading": None}
                rows.update(db, "devices", {"id": row["id"]}, shown)


def _take_into_use(db: Connection, device: FoundDevice, now: float) -> None:
    own_id = _known_id(db, device)
    facts = rows.columns_of(device, without=("id", "memory_mb"))
    clean = {"in_use": 1, "problem": "", "neighbour": "", "avoided": 0, "reading": None}
    if not rows.update(db, "devices", {"id": own_id}, facts | clean):
        rows.insert(db, "devices", facts, id=own_id, since=now)


def _known_id(db: Connection, device: FoundDevice) -> str:
    if not device.uuid:
        return device.id
    row = db.execute("SELECT id FROM devices WHERE uuid = ?", (device.uuid,)).fetchone()
    if row is not None:
        return str(row["id"])
    # A row without a UUID is from before they were kept: it is taken over by whoever has its number.
    others = {row["id"] for row in db.execute("SELECT id FROM devices WHERE uuid != ''")}
    own_id = device.id
    while own_id in others:
        head, number = re.fullmatch(r"(.*?)(\d+)", own_id).groups()  # type: ignore[union-attr]
        own_id = f"{head}{int(number) + 1}"
    return own_id


def record_device_problem(store: Store, device_id: str, problem: str, now: float) -> None:
    """Take a device out of use, with the reason; an empty one puts it back."""
    with store.transaction() as db:
        rows.update(db, "devices", {"id": device_id}, problem=problem, since=now)


def record_sights(store: Store, tag: str, sights: Sequence[DeviceSight], now: float) -> None:
    """What is new of some devices, in one transition; a change for better or worse is an event."""
    with store.transaction() as db:
        for sight in sights:
            query = "SELECT problem, neighbour, since FROM devices WHERE id = ?"
            old = db.execute(query, (sight.device_id,)).fetchone()
            if old is None:
                continue
            since = old["since"] if old["problem"] == sight.problem else now
            columns = rows.columns_of(sight, without=("device_id", "disturbed_run", "disturbance"))
            rows.update(db, "devices", {"id": sight.device_id}, columns, gone=0, since=since)
            text = _event(sight, old["problem"], old["neighbour"])
            if text:
                record_event(db, tag, now, "", text)
            if sight.disturbed_run is not None:
                undisturbed = {"id": sight.disturbed_run, "state": RunState.RUNNING, "disturbed": ""}
                rows.update(db, "runs", undisturbed, disturbed=sight.disturbance)


def _event(sight: DeviceSight, old_problem: str, old_neighbour: str) -> str:
    if sight.problem != old_problem:
        return f"{sight.device_id} " + (f"is out: {sight.problem}" if sight.problem else "is back in use")
    if sight.avoided and not old_neighbour:
        return f"{sight.device_id} is busy: {sight.neighbour}"
    if old_neighbour and not sight.neighbour:
        return f"{sight.device_id} is free of its neighbour"
    return ""
