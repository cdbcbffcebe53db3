"""What a training run can be given: NVIDIA GPUs, Apple's GPU, or pinned CPU cores."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path

from sessions.errors import DeviceError

_DEFAULT_CPU_SLOTS = 2


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """Something a training run can be given, whole."""

    id: str  # "cpu:0", "cuda:0", "mps"
    kind: str  # "cpu", or the accelerator's model
    label: str  # for people: "core 0", "NVIDIA H200 141 GB"
    core: int | None  # the CPU core to pin to, CPU slots only
    memory_mb: int | None  # of an accelerator
    # What a run's environment needs so that it sees this accelerator and no other.
    environment: dict[str, str] = field(default_factory=dict)


def discover(requested: str | None = None) -> tuple[FoundDevice, ...]:
    """The devices of this machine that `requested` names.

    None or "auto": every GPU, else up to two CPU cores. "cpu": up to two cores; "cpu*4": four;
    else a comma list of ids. Raises DeviceError, naming what there is.
    """
    wanted = (requested or "auto").strip()
    if wanted == "auto":
        return find_gpus() or _default_cpu_slots()
    chosen: list[FoundDevice] = []
    for name in (part.strip() for part in wanted.split(",")):
        chosen.extend(device for device in _named(name) if device not in chosen)
    return tuple(chosen)


def find_gpus() -> tuple[FoundDevice, ...]:
    """The GPUs that this process may use, in the order in which CUDA counts them; or Apple's."""
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return (FoundDevice("mps", "mps", "Apple GPU", None, None),)
    return _nvidia_gpus()


def find_cpu_slots() -> tuple[FoundDevice, ...]:
    """One slot for each core that this process may use, different physical cores first."""
    return tuple(
        FoundDevice(f"cpu:{index}", "cpu", f"core {core}", core, None)
        for index, core in enumerate(_ordered_cores())
    )


def _named(name: str) -> tuple[FoundDevice, ...]:
    if name == "cpu":
        return _default_cpu_slots()
    slots = find_cpu_slots()
    head, star, count = name.partition("*")
    if head == "cpu" and star and count.isdigit() and 1 <= int(count) <= len(slots):
        return slots[: int(count)]
    known = find_gpus() + slots
    found = tuple(device for device in known if device.id == name)
    if not found:
        there = ", ".join(device.id for device in known)
        raise DeviceError(f"there is no device {name!r} here; there is {there}")
    return found


def _default_cpu_slots() -> tuple[FoundDevice, ...]:
    slots = find_cpu_slots()
    return slots[: max(1, min(_DEFAULT_CPU_SLOTS, _cpu_quota() or _DEFAULT_CPU_SLOTS))]


def _ordered_cores() -> list[int | None]:
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


def _nvidia_gpus() -> tuple[FoundDevice, ...]:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        gpus = {_text(pynvml.nvmlDeviceGetUUID(handle)): handle for handle in handles}
        return tuple(
            _describe_gpu(pynvml, index, uuid, gpus[uuid]) for index, uuid in enumerate(_visible(list(gpus)))
        )
    except pynvml.NVMLError as error:
        raise DeviceError(f"the NVIDIA driver does not answer: {error}; see `nvidia-smi`") from None
    finally:
        pynvml.nvmlShutdown()


def _visible(uuids: list[str]) -> list[str]:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves, in its order; like CUDA, it ends at the first unknown."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return uuids
    chosen: list[str] = []
    for name in (part.strip() for part in listed.split(",")):
        if name.isdigit() and int(name) < len(uuids):
            chosen.append(uuids[int(name)])
        elif matches := [uuid for uuid in uuids if name and uuid.startswith(name)]:
            chosen.append(matches[0])
        else:
            break
    return chosen


def _describe_gpu(pynvml: object, index: int, uuid: str, handle: object) -> FoundDevice:
    name = _text(pynvml.nvmlDeviceGetName(handle))  # type: ignore[attr-defined]
    memory_mb = pynvml.nvmlDeviceGetMemoryInfo(handle).total // 2**20  # type: ignore[attr-defined]
    label = f"{name} {round(memory_mb / 1024)} GB"
    return FoundDevice(f"cuda:{index}", name, label, None, memory_mb, {"CUDA_VISIBLE_DEVICES": uuid})


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
