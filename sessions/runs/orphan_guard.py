"""A process that waits for its runner to die and ends what a killed runner leaves behind.

A SIGKILL gives a runner no last word. Where a PID namespace confines the run the kernel ends it; elsewhere
the direct child dies with its parent, and its helpers are found by the mark in their environment.
"""

from __future__ import annotations

import os
import signal
import sys

from sessions.processes.marks import end_marked

_DISMISSED = b"."


class RunGuard:
    """Started before the run; the runner's death is the end of a pipe."""

    def __init__(self, marker: str) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        ours, self._pipe = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(self._pipe)
            _become_guard(ours, marker)
        os.close(ours)
        os.waitpid(child, 0)

    def dismiss(self) -> None:
        """The run ended in good order, and nothing of it is left."""
        os.write(self._pipe, _DISMISSED)
        os.close(self._pipe)


def _become_guard(pipe: int, marker: str) -> None:
    # Forked twice, and before the runner becomes a subreaper: the guard is no part of the run's tree.
    # It shares the runner's lock, so the run counts as alive until the last leftover is gone.
    os.setsid()
    if os.fork():
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        if os.read(pipe, 1) != _DISMISSED:
            end_marked(marker)
    finally:
        os._exit(0)
