"""What CUDA_VISIBLE_DEVICES leaves of a machine's GPUs, read as CUDA reads it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sessions.devices.gpu import Gpu
from sessions.errors import DeviceError

VARIABLE = "CUDA_VISIBLE_DEVICES"


def visible(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> list[Gpu]:
    """The GPUs and slices that may be used, in the variable's order; all of them without it.

    An index or a GPU's UUID stands for the GPU, or for all its slices; a UUID may be cut short as long as one
    only fits. Like CUDA, the list ends at the first entry that names nothing (`-1`, a gap, nonsense), and one that
    names a device twice leaves none. Of several slices CUDA would take the first; here each run is given its own.
    Raises DeviceError for an index where CUDA would order unlike GPUs by a speed that nobody else knows.
    """
    entries = environment.get(VARIABLE)
    if entries is None:
        return list(gpus)
    chosen: list[Gpu] = []
    for entry in (part.strip() for part in entries.split(",")):
        if entry.isdigit():
            _expect_clear_order(gpus, entry, environment)
        matches = _named(gpus, entry)
        if not matches:
            break
        if any(gpu in chosen for gpu in matches):
            return []
        chosen += matches
    return chosen


def _named(gpus: Sequence[Gpu], entry: str) -> list[Gpu]:
    if entry.isdigit():
        return [gpu for gpu in gpus if gpu.index == int(entry)]
    if entry.startswith("MIG-"):
        slices = [gpu for gpu in gpus if gpu.slice is not None and gpu.uuid.startswith(entry)]
        return slices if len(slices) == 1 else []
    if not entry.startswith("GPU-"):
        return []
    parents = {gpu.parent_uuid for gpu in gpus if gpu.parent_uuid.startswith(entry)}
    return [gpu for gpu in gpus if gpu.parent_uuid in parents] if len(parents) == 1 else []


def _expect_clear_order(gpus: Sequence[Gpu], entry: str, environment: Mapping[str, str]) -> None:
    whole = {gpu.parent_uuid: gpu.name.partition(" MIG ")[0] for gpu in gpus}
    if len(set(whole.values())) > 1 and environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        raise DeviceError(
            f"{VARIABLE} names GPU {entry}, but unlike GPUs are counted by speed: name UUIDs (`nvidia-smi -L`), "
            "or set CUDA_DEVICE_ORDER=PCI_BUS_ID"
        )
