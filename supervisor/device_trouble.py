"""Why nothing can be measured. Pure."""

from __future__ import annotations

from supervisor.snapshot import LabSnapshot


def device_trouble(snapshot: LabSnapshot) -> str:
    """Why nothing can be measured, when every device is out or busy; "" otherwise."""
    if not snapshot.devices or not all(device.problem or device.avoided for device in snapshot.devices):
        return ""
    first = snapshot.devices[0]
    what = "is out" if first.problem else "is busy"
    why = first.problem or first.neighbour
    others = f" (and {len(snapshot.devices) - 1} more)" if len(snapshot.devices) > 1 else ""
    return f"no device is free to measure on: {first.id} {what}: {why}{others}"
