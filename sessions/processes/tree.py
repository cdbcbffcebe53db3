"""Processes: their trees, their CPU time, their end. The one module here that knows the platform.

Linux gives a subreaper, a parent-death signal, core pinning and cheap /proc reads; elsewhere psutil
does what it can and the rest is left out.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import psutil

LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_POLL_S = 0.005
_libc = ctypes.CDLL(None, use_errno=True) if LINUX else None


def become_subreaper() -> None:
    """Adopt every orphan below this process, so that none can leave its tree."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent goes; for use between fork and exec."""
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it went before we asked
        os._exit(1)


def pin_to_cores(cores: Collection[int]) -> None:
    """Keep this process and what it starts on these CPU cores, where the system can; on any, where none is named."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(cores))


def offer_to_oom_killer() -> None:
    """Let a machine out of memory take this process before its runner, its tmux or the person's shell."""
    if LINUX:
        Path("/proc/self/oom_score_adj").write_text("500")


def oom_kills() -> int:
    """How often the kernel has killed for memory since boot; 0 where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, parents before their children."""
    if not LINUX or not Path("/proc/self/task", str(os.getpid()), "children").exists():
        try:
            return [child.pid for child in psutil.Process(pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
    # The kernel's own child lists: the cost grows with the tree, not with the machine.
    below: list[int] = []
    waiting = [pid]
    while waiting:
        children = _children(waiting.pop())
        below += children
        waiting += children
    return below


def end_tree(pid: int, grace_s: float = 0.5, including_itself: bool = True) -> None:
    """TERM, then after `grace_s` KILL, everything below `pid` and `pid` itself, until nothing is left."""

    def alive() -> list[int]:
        return [p for p in descendants(pid) + [pid] * including_itself if not is_dead(p)]

    _signal_all(alive(), signal.SIGTERM)
    wait_until(lambda: not alive(), grace_s)
    kill_until_gone(alive)


def kill_until_gone(find: Callable[[], Iterable[int]], patience_s: float = 5.0) -> bool:
    """KILL whatever `find` finds, again and again, for processes fork while they are killed."""

    def gone() -> bool:
        leftovers = list(find())
        _signal_all(leftovers, signal.SIGKILL)
        return not leftovers

    return wait_until(gone, patience_s)


class TreeMeter:
    """CPU time and memory of everything below this process, the exited ones included.

    Two lower bounds, of which the larger holds: the kernel's own sums (blind to children that nobody
    waits for) and the last seen time of every process (blind to those that live between two samples).
    """

    def __init__(self) -> None:
        self._processes: dict[int, psutil.Process] = {}
        self._last_seen: dict[tuple[int, float], float] = {}
        self._exited_s = 0.0
        self._sampled_at = 0.0
        self._waited_before_s = _waited_cpu_s()
        self.cpu_s = 0.0
        self.peak_memory_mb = 0.0

    def sample(self, oldest_s: float = 0.0) -> float:
        """Look now, unless the last look is younger than `oldest_s`.

        Returns the CPU seconds so far, user and system, of the whole tree.
        """
        now = time.monotonic()
        if now - self._sampled_at < oldest_s:
            return self.cpu_s
        self._sampled_at = now
        waited_s = _waited_cpu_s() - self._waited_before_s
        memory = 0
        seen: dict[tuple[int, float], float] = {}
        processes: dict[int, psutil.Process] = {}
        for pid in descendants(os.getpid()):
            try:
                process = self._processes.get(pid) or psutil.Process(pid)
                with process.oneshot():
                    times = process.cpu_times()
                    memory += process.memory_info().rss
                seen[(pid, process.create_time())] = times.user + times.system
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            waited_s += times.children_user + times.children_system
            processes[pid] = process
        waited_s += sum(seen.values())
        self._forget_exited(seen)
        self._processes = processes
        self.cpu_s = max(self.cpu_s, waited_s, self._exited_s + sum(seen.values()))
        self.peak_memory_mb = max(self.peak_memory_mb, memory / 2**20)
        return self.cpu_s

    def peak_mb(self) -> float:
        """Peak resident memory: the largest sample, or the largest single process ever waited for."""
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # KiB, on macOS bytes
        return max(self.peak_memory_mb, largest / (2**20 if sys.platform == "darwin" else 2**10))

    def _forget_exited(self, seen: dict[tuple[int, float], float]) -> None:
        # A sum, not a list of the dead: a run that forks a million helpers must not grow us.
        self._exited_s += sum(cpu for key, cpu in self._last_seen.items() if key not in seen)
        self._last_seen = seen


def _waited_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - ten times a second
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:  # noqa: PTH123
                children += [int(child) for child in file.read().split()]
    except OSError:  # it ended meanwhile
        pass
    return children


def is_dead(pid: int) -> bool:
    """Whether the process is gone, or only waits to be waited for."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def _signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def wait_until(true: Callable[[], bool], patience_s: float) -> bool:
    """Look again and again until `true()`; False when it is not within `patience_s`."""
    deadline = time.monotonic() + patience_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
