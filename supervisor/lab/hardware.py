"""What one run of a lab gets of the machine, and how many run at once."""

from __future__ import annotations

import os
from collections.abc import Sequence

from sessions.devices.discovery import FoundDevice, discover
from supervisor.errors import LaunchError
from supervisor.lab.config import CPU_KIND
from supervisor.lab.paths import Lab

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def cores_per_run(lab: Lab) -> int | None:
    """CPU cores that each run is pinned to; None: it gets the machine as it has it outside the lab.

    Ours is made for one core, and its budget is CPU time. Of a stranger nothing is known: a compiled or threaded
    program on one core would be measured as it never runs, and a latency beside others as nobody would measure it.
    """
    return lab.config.devices.cores or (1 if lab.has_referee else None)


def hardware_for(lab: Lab, requested: str | None) -> tuple[FoundDevice, ...]:
    """The devices for a lab's runs, as `discover` takes them. Raises DeviceError or LaunchError."""
    at_once, gpus = lab.config.devices.runs, lab.config.devices.gpus
    found = discover(requested, cores_per_run(lab), at_once)
    if is_cpu(found):
        return found
    if gpus > len(found):
        raise LaunchError(
            f"[devices] gpus: a run is to have {gpus} GPUs, and there {_are(len(found))} {len(found)}"
        )
    return found[: at_once * gpus] if at_once else found


def runs_at_once(hardware: Sequence[FoundDevice], gpus: int) -> int:
    """How many runs fit on these devices side by side, each with so many GPUs."""
    return len(hardware) if is_cpu(hardware) else len(hardware) // gpus


def share_in_words(hardware: Sequence[FoundDevice], gpus: int) -> str:
    """What each run gets, for people: "all 8 cores, one run at a time"."""
    count = runs_at_once(hardware, gpus)
    if not is_cpu(hardware):
        share = f"{gpus} × {hardware[0].label}" if gpus > 1 else hardware[0].label
    elif len(hardware[0].cores) == 1:
        share = "one core"
    else:
        share = f"{len(hardware[0].cores)} cores" if hardware[0].cores else hardware[0].label
    return f"{share}, {'one run' if count == 1 else f'{count} runs'} at a time"


def cores_compared(lab: Lab, hardware: Sequence[FoundDevice]) -> str:
    """The cores of a run as far as they make scores comparable; "" on a GPU, and for our lab's one core."""
    if not hardware or not is_cpu(hardware) or (lab.has_referee and len(hardware[0].cores) == 1):
        return ""
    return str(len(hardware[0].cores)) if hardware[0].cores else hardware[0].label


def thread_variables(cores: Sequence[int]) -> dict[str, str]:
    """How many threads numeric libraries start on these cores; without a word they take every core of the machine."""
    return dict.fromkeys(_THREADS, str(len(cores))) if cores else {}


def is_cpu(hardware: Sequence[FoundDevice]) -> bool:
    """Whether these are CPU slots."""
    return hardware[0].kind == CPU_KIND


def still_there(slots: Sequence[FoundDevice]) -> bool:
    """Whether this process may still use the cores of all these slots."""
    if not slots or not hasattr(os, "sched_getaffinity"):
        return bool(slots)
    return {core for slot in slots for core in slot.cores} <= os.sched_getaffinity(0)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
