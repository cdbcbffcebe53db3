"""GPUs as plain data: what the driver lists, what it says of them, how their failures sound. Light to import."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

# CUDA's own names for a GPU that is broken, gone or taken; what a wrong kernel says ("illegal memory access",
# "unspecified launch failure", "device-side assert") is not among them.
_FAILURES = re.compile(
    r"uncorrectable (nvlink |ecc )?error|uncorrectable ecc|(gpu|device) (is|was) lost|fallen off the bus"
    r"|no cuda-capable device is detected|all cuda-capable devices are busy or unavailable"
    r"|cudaError(ECCUncorrectable|NoDevice|DevicesUnavailable|NvlinkUncorrectable|SystemNotReady)"
    r"|unable to determine the device handle for gpu",
    re.IGNORECASE,
)


class Throttle(StrEnum):
    """Why a GPU runs slower than it could."""

    POWER_CAP = "power cap"  # what a big GPU does under full load, day in, day out
    HEAT = "heat"
    POWER_BRAKE = "power brake"
    SLOWDOWN = "hardware slowdown"


class DriverMissing(Exception):  # noqa: N818 (reads as what it says)
    """There is no NVIDIA driver here, or it does not answer."""


class GpuUnusable(Exception):  # noqa: N818 (reads as what it says)
    """One GPU is out; the text says why, in a line."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A whole GPU, or one MIG slice of it."""

    uuid: str  # "GPU-…" or "MIG-…"
    name: str  # the model; of a slice with its profile: "NVIDIA H200 MIG 1g.18gb"
    memory_mb: int
    index: int  # of the GPU on the PCI bus, as nvidia-smi counts
    slice: int | None  # of the GPU's slices; None: the whole GPU
    parent_uuid: str  # of the GPU that it is, or is a slice of
    minor: int | None  # its device file is /dev/nvidia<minor>


@dataclass(frozen=True, slots=True)
class GpuReading:
    """What the driver's sensors say now; None: it does not tell."""

    at: float  # epoch seconds
    memory_used_mb: int
    memory_total_mb: int
    utilization_percent: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    throttled: tuple[Throttle, ...] = ()


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A process that computes on a device and is none of the run's that holds it."""

    pid: int
    name: str  # "" where it lives in another PID namespace
    user: str  # "" as above
    memory_mb: int | None

    def in_words(self) -> str:
        """For people: "python (pid 4242, user ann, 12 GB)"."""
        size = "" if self.memory_mb is None else f"{self.memory_mb / 1024:.1f} GB".replace(".0 GB", " GB")
        parts = (f"pid {self.pid}", f"user {self.user}" if self.user else "", size)
        return f"{self.name or 'a process of another container'} ({', '.join(p for p in parts if p)})"


@dataclass(frozen=True, slots=True)
class GpuStatus:
    """One look at one GPU or slice."""

    uuid: str
    holder: Path | None  # the directory of the run that held it; None: nobody
    reading: GpuReading | None = None
    neighbours: tuple[Neighbour, ...] = ()
    problem: str = ""  # why it cannot be used


@dataclass(frozen=True, slots=True)
class ComputeProcess:
    """A process with a CUDA context on a GPU."""

    pid: int  # in the caller's PID namespace
    memory_mb: int | None


def speaks_of_device(reason: str) -> bool:
    """Whether a run's last words blame its GPU. Only a hint: the code under test can say anything."""
    return bool(_FAILURES.search(reason))
