"""Locks on files that vanish with their holder: whoever holds one is alive."""

from __future__ import annotations

import fcntl
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOR_EVER = math.inf
_PROBE_PATIENCE_S = 0.5  # `is_locked` holds a lock for microseconds
_POLL_S = 0.01


def take_lock(path: Path, wait_s: float = _PROBE_PATIENCE_S) -> int | None:
    """The descriptor of the file's lock, held until it is closed; None when another process still holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                return None
            time.sleep(_POLL_S)


@contextmanager
def held(path: Path, wait_s: float = _PROBE_PATIENCE_S) -> Iterator[bool]:
    """Try to hold the lock; yields whether this process does."""
    descriptor = take_lock(path, wait_s)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
