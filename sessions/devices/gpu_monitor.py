"""Looks at the GPUs every few seconds, beside whoever needs to know: a driver that hangs must hold up nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from sessions.devices.gpu import ComputeProcess, DriverMissing, GpuStatus, GpuUnusable, Neighbour
from sessions.processes.tree import descendants
from sessions.runs.start import runner_pid

if TYPE_CHECKING:
    from sessions.devices.nvml import Driver

INSPECT_EVERY_S = 5.0
SILENT_AFTER_S = 60.0  # a driver that has not answered for so long will not
LITTLE_MB = 100  # no CUDA context that computes is smaller
# It holds a context of its own for its clients; they are seen beside it.
_SERVANTS = frozenset({"nvidia-cuda-mps-server"})


class GpuMonitor:
    """A thread with one open driver session. `holders` goes in, `looks` come out; both change as a whole."""

    def __init__(self, every_s: float = INSPECT_EVERY_S) -> None:
        self.holders: Mapping[str, Path | None] = {}  # by UUID: the directory of the run that holds the GPU
        self.statuses: tuple[GpuStatus, ...] = ()
        self._every_s = every_s
        self._looked = threading.Condition()
        self._count = 0
        self._answered_at = time.monotonic()
        self._stop = threading.Event()
        self._inspector = GpuInspector()
        self._thread: threading.Thread | None = None

    def start(self, wait_s: float) -> None:
        """Begin, and wait for the first look, at most so long."""
        self._answered_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="gpu-watch", daemon=True)
        self._thread.start()
        with self._looked:
            self._looked.wait_for(lambda: self._count > 0, wait_s)

    def stop(self) -> None:
        """No more looks; one that hangs is left behind."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def silent_s(self) -> float:
        """Seconds for which the driver has not answered; 0 while it does."""
        silent = time.monotonic() - self._answered_at
        return silent if silent > SILENT_AFTER_S else 0.0

    def number(self) -> int:
        """How often they were looked at."""
        return self._count

    def _run(self) -> None:
        while not self._stop.is_set():
            holders = self.holders
            statuses = self._inspector.inspect(holders) if holders else ()
            with self._looked:
                self.statuses, self._count = statuses, self._count + 1
                self._answered_at = time.monotonic()
                self._looked.notify_all()
            self._stop.wait(self._every_s)
        self._inspector.close()


class GpuInspector:
    """Looks at GPUs and tells whose processes are on them."""

    def __init__(self) -> None:
        self._driver: Driver | None = None
        self._unnamed: dict[str, set[int]] = {}  # by UUID: pids of the last look that nobody here knows

    def inspect(self, holders: Mapping[str, Path | None]) -> tuple[GpuStatus, ...]:
        """One look at each of these GPUs."""
        from sessions.devices.nvml import Driver

        try:
            if self._driver is None:
                self._driver = Driver()
        except DriverMissing as error:
            problem = f"the NVIDIA driver does not answer: {error}"
            return tuple(GpuStatus(uuid, holder, problem=problem) for uuid, holder in holders.items())
        statuses = tuple(self._inspect_one(self._driver, uuid, holder) for uuid, holder in holders.items())
        if any(status.problem for status in statuses):
            # A GPU that comes back is seen by a new session only, and cannot be reset under an open one.
            self.close()
        return statuses

    def close(self) -> None:
        """Let go of the driver."""
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    def _inspect_one(self, driver: Driver, uuid: str, holder: Path | None) -> GpuStatus:
        try:
            reading = driver.read(uuid, time.time())
            processes = driver.compute_processes(uuid)
        except GpuUnusable as error:
            return GpuStatus(uuid, holder, problem=str(error))
        return GpuStatus(uuid, holder, reading, self._neighbours(uuid, holder, processes))

    def _neighbours(
        self, uuid: str, holder: Path | None, processes: Sequence[ComputeProcess]
    ) -> tuple[Neighbour, ...]:
        # The tree is looked at after the list, so what has just ended is in neither it nor the process table.
        own = _tree_of(holder)
        others = [one for one in processes if one.pid not in own]
        named = [neighbour for one in others if (neighbour := _named(one)) is not None]
        unnamed = {one.pid for one in others} - {one.pid for one in named}
        # Unknown pids are another container's, or a list that lags: believed when seen twice. Where our own run is
        # not on the list either, pids are counted elsewhere, and an unknown one may be it.
        believed = unnamed & self._unnamed.get(uuid, set())
        self._unnamed[uuid] = unnamed
        if own and not any(one.pid in own for one in processes):
            believed = set()
        strangers = [Neighbour(one.pid, "", "", one.memory_mb) for one in others if one.pid in believed]
        return tuple(one for one in (*named, *strangers) if counts(one))


def counts(neighbour: Neighbour) -> bool:
    """Whether a process changes what others measure there: any with a context of some size."""
    size = neighbour.memory_mb
    return neighbour.name not in _SERVANTS and (size is None or size >= LITTLE_MB)


def _tree_of(holder: Path | None) -> set[int]:
    runner = None if holder is None else runner_pid(holder)
    return set() if runner is None else {runner, *descendants(runner)}


def _named(process: ComputeProcess) -> Neighbour | None:
    try:
        owner = psutil.Process(process.pid)
        if owner.status() == psutil.STATUS_ZOMBIE:
            return None
        return Neighbour(process.pid, owner.name(), owner.username(), process.memory_mb)
    except psutil.AccessDenied:
        return Neighbour(process.pid, "process", "", process.memory_mb)
    except (psutil.Error, OSError, KeyError):
        return None
