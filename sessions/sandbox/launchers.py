"""The programs that start a confined command: `unshare` for namespaces of its own, Landlock for the file system."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from sessions.sandbox import landlock

_PROBE_TIMEOUT_S = 5.0


def in_namespaces(argv: Sequence[str], *, network: bool) -> list[str]:
    """`argv` without other processes to see, and without the network where it is not allowed."""
    no_network = () if network else ("--net",)
    # The shell is the namespace's init: as pid 1 the command itself would ignore signals.
    return [
        *("unshare", "--user", "--map-root-user", *no_network, "--pid", "--fork", "--kill-child"),
        *("--mount-proc", "--", "/bin/sh", "-c", '"$@"; exit $?', "sh", *argv),
    ]


def under_landlock(
    argv: Sequence[str], readable: Iterable[Path], writable: Iterable[Path] = (), masked: Iterable[Path] = ()
) -> list[str]:
    """`argv` with no more of the file system than this; the masked folders are empty."""
    paths = {"--mask": masked, "--read": readable, "--write": writable}
    options = [part for option in paths for path in paths[option] for part in (option, str(path))]
    return [sys.executable, "-I", "-S", str(Path(landlock.__file__).resolve()), *options, "--", *argv]


def succeeds(command: Sequence[str], cwd: str | None = None) -> bool:
    """Whether the command runs here and exits with 0: what a machine can do is tried, not guessed."""
    try:
        trial = subprocess.run(
            command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return trial.returncode == 0
