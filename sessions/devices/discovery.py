"""What a training run can be given: NVIDIA GPUs, Apple's GPU, or pinned CPU cores."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path

from sessions.devices.cuda_visibility import visible
from sessions.devices.gpu import DriverMissing, Gpu
from sessions.errors import DeviceError

_DEFAULT_CPU_SLOTS = 2


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """Something a training run can be given, whole."""

    id: str  # "cpu:0", "cuda:0", "cuda:0.1" (a MIG slice), "mps"
    kind: str  # "cpu", or the accelerator's model
    label: str  # for people: "core 0", "all 8 cores", "NVIDIA H200 141 GB"
    cores: tuple[int, ...]  # the CPU cores to pin to, CPU slots only; (): all that this process may use
    memory_mb: int | None  # of an accelerator
    # What a run's environment needs so that it sees this accelerator and no other.
    environment: dict[str, str] = field(default_factory=dict)
    uuid: str = ""  # what the accelerator is known by, whatever its number; "" where it has none
    minor: int | None = None  # its device file is /dev/nvidia<minor>


def discover(
    requested: str | None = None, cores: int | None = 1, at_once: int | None = None
) -> tuple[FoundDevice, ...]:
    """The devices of this machine that `requested` names.

    None or "auto": every GPU, else CPU slots. "cpu": CPU slots, of `cores` cores each, or one of all cores where that
    is None; `at_once` of them, else two, or as many as there are of several cores. "cpu*4": four slots; else a
    comma list of ids. Raises DeviceError, naming what there is.
    """
    names = (requested or "auto").strip()
    if names == "auto":
        return find_gpus() or _default_cpu_slots(cores, at_once)
    chosen: list[FoundDevice] = []
    for name in (part.strip() for part in names.split(",")):
        chosen.extend(device for device in _named(name, cores, at_once) if device not in chosen)
    return tuple(chosen)


def find_gpus() -> tuple[FoundDevice, ...]:
    """The GPUs that this process may use, in the order in which CUDA counts them; or Apple's."""
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return (FoundDevice("mps", "mps", "Apple GPU", (), None),)
    return _nvidia_gpus()


def find_cpu_slots(cores: int = 1) -> tuple[FoundDevice, ...]:
    """As many slots of so many cores as this process may use, different physical cores first. Raises DeviceError."""
    usable = usable_cores()
    if cores > len(usable):
        raise DeviceError(
            f"[devices] cores: a run is to have {cores} cores, and there are {len(usable)} here"
        )
    groups = [usable[at : at + cores] for at in range(0, len(usable) - cores + 1, cores)]
    return tuple(_cpu_slot(index, group) for index, group in enumerate(groups))


def _cpu_slot(index: int, cores: list[int | None]) -> FoundDevice:
    numbers = [core for core in cores if core is not None]
    label = (
        f"core{'s' if len(cores) > 1 else ''} {', '.join(map(str, sorted(numbers)) if numbers else ['?'])}"
    )
    return FoundDevice(f"cpu:{index}", "cpu", label, tuple(numbers), None)


def _whole_cpu() -> FoundDevice:
    count = min(len(usable_cores()), _cpu_quota() or sys.maxsize)
    return FoundDevice("cpu:0", "cpu", f"all {count} cores" if count > 1 else "the one core", (), None)


def _named(name: str, cores: int | None, at_once: int | None) -> tuple[FoundDevice, ...]:
    if name == "cpu":
        return _default_cpu_slots(cores, at_once)
    slots = find_cpu_slots(cores or 1)
    head, star, count = name.partition("*")
    if head == "cpu" and star and count.isdigit() and 1 <= int(count) <= len(slots):
        return slots[: int(count)]
    devices = find_gpus() + slots
    matches = tuple(d for d in devices if name and (d.id == name or _is_uuid_of(name, d)))
    if not matches:
        there = ", ".join(device.id for device in devices)
        raise DeviceError(f"there is no device {name!r} here; there is {there}")
    return matches


def _is_uuid_of(name: str, device: FoundDevice) -> bool:
    return name.startswith(("GPU-", "MIG-")) and device.uuid.startswith(name)


def _default_cpu_slots(cores: int | None, at_once: int | None) -> tuple[FoundDevice, ...]:
    if cores is None:
        return (_whole_cpu(),)
    slots = find_cpu_slots(cores)
    usual = _DEFAULT_CPU_SLOTS if cores == 1 else len(slots)
    return slots[: max(1, at_once or min(usual, (_cpu_quota() or sys.maxsize) // cores))]


def usable_cores() -> list[int | None]:
    """The cores that this process may use, each by its number where the system can pin to it."""
    if not hasattr(os, "sched_getaffinity"):  # macOS cannot pin
        return [None] * (os.cpu_count() or 1)
    # Two hardware threads of one core slow each other: take every core once before taking any twice.
    seen: dict[str, int] = {}
    ranked = []
    for core in sorted(os.sched_getaffinity(0)):
        file = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
        siblings = file.read_text().strip() if file.exists() else str(core)
        ranked.append((seen.setdefault(siblings, 0), core))
        seen[siblings] += 1
    return [core for _, core in sorted(ranked)]


def _cpu_quota() -> int | None:
    """Whole CPUs that the container may use at a time; None without such a limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):  # no cgroup v2, or "max"
        return None


def listed_uuids() -> frozenset[str]:
    """Every GPU and slice that the driver lists now, visible to this process or not."""
    return frozenset(gpu.uuid for gpu in _listed_gpus())


def _listed_gpus() -> tuple[Gpu, ...]:
    from sessions.devices.nvml import Driver

    try:
        driver = Driver()
    except DriverMissing:
        return ()
    driver.close()
    return driver.gpus


def _nvidia_gpus() -> tuple[FoundDevice, ...]:
    chosen = visible(_listed_gpus(), os.environ)
    # CUDA counts what it sees from 0; slices are told by a second number.
    parents = list(dict.fromkeys(gpu.parent_uuid for gpu in chosen))
    return tuple(_describe_gpu(parents.index(gpu.parent_uuid), gpu) for gpu in chosen)


def _describe_gpu(number: int, gpu: Gpu) -> FoundDevice:
    name = f"cuda:{number}" if gpu.slice is None else f"cuda:{number}.{gpu.slice}"
    label = f"{gpu.name} {round(gpu.memory_mb / 1024)} GB"
    return FoundDevice(
        name, gpu.name, label, (), gpu.memory_mb, {"CUDA_VISIBLE_DEVICES": gpu.uuid}, gpu.uuid, gpu.minor
    )
