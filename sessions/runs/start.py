"""Starting a runner, asking whether it lives, ending it. Light to import: the supervisor lives by it.

A runner lives as long as its lock on `runner.lock` is held. `start_runner` takes the lock itself and
hands it down, so there is no moment between start and life in which a runner could look dead.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sessions.environment import RUNNER, passed_on
from sessions.errors import RunnerError
from sessions.files import write_atomically
from sessions.locks import is_locked, take_lock
from sessions.processes.tree import wait_until
from sessions.runs.contract import LOCK_FILE, SPEC_FILE, RunSpec, to_json

LOCK_VARIABLE = "AUTORESEARCH_LOCK"  # the descriptor of the lock that a runner was handed
GIVEN = "AUTORESEARCH_GIVEN_"  # before the names of the run's own variables: to the runner they mean nothing
ERROR_FILE = "runner.err"
HELD_EXIT_CODE = 3  # of a second runner for the same directory


def start_runner(spec: RunSpec, cli: Path) -> int:
    """Write the spec and start a runner that outlives this process; returns its pid.

    Raises RunnerError when a runner already works in that directory or none can be started.
    """
    try:
        spec.directory.mkdir(parents=True, exist_ok=True)
        lock = take_lock(spec.directory / LOCK_FILE)
        if lock is None:
            raise RunnerError(f"a runner already works in {spec.directory}; end it first")
        try:
            write_atomically(spec.directory / SPEC_FILE, to_json(spec))
            given = {f"{GIVEN}{name}": value for name, value in passed_on(spec.given).items()}
            pid = _spawn(spec.directory, cli, lock, given)
            os.pwrite(lock, f"{pid}\n".encode(), 0)
        finally:
            os.close(lock)
    except OSError as error:
        hint = "; make room" if error.errno == errno.ENOSPC else ""
        raise RunnerError(f"no runner can be started in {spec.directory}: {error.strerror}{hint}") from None
    return pid


def runner_alive(directory: Path) -> bool:
    """Whether a runner works in `directory`, or its leftovers are still being ended."""
    return is_locked(directory / LOCK_FILE)


def end_runner(directory: Path, wait_s: float = 5.0) -> None:
    """Tell the runner in `directory` to end its run, and see it gone; none there is no error.

    Raises RunnerError when it is still there after being killed.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        pid = runner_pid(directory)
        if not runner_alive(directory):
            return
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if wait_until(lambda: not runner_alive(directory), wait_s):
            return
    raise RunnerError(f"the runner in {directory} does not end; kill process {runner_pid(directory)} by hand")


def _spawn(directory: Path, cli: Path, lock: int, given: Mapping[str, str]) -> int:
    # The shell exits at once, so the runner is nobody's child that we would have to wait for.
    script = '"$@" </dev/null >>"$AUTORESEARCH_ERR" 2>&1 & echo $!'
    handed_over = {LOCK_VARIABLE: str(lock), "AUTORESEARCH_ERR": str(directory / ERROR_FILE), **given}
    shell = subprocess.run(
        ["/bin/sh", "-c", script, "sh", str(cli), "_runner", str(directory)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        pass_fds=(lock,), start_new_session=True, cwd=directory, env=passed_on(RUNNER) | handed_over, check=True,
    )  # fmt: skip
    return int(shell.stdout)


def runner_pid(directory: Path) -> int | None:
    """The process that works, or last worked, in `directory`; None before the first."""
    try:
        return int((directory / LOCK_FILE).read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
