"""What a client that an agent started may touch of the file system: Landlock, where the kernel has it.

A client needs the network, so this is no sandbox of a run: it takes away the files of the person and of the lab.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sessions.sandbox import landlock
from sessions.sandbox.filesystem_view import around, python_homes

_PROBE_TIMEOUT_S = 5.0
# Landlock leaves /proc readable, and there the environments of other processes, with their keys; and it leaves sockets
# open, tmux's above all, through which one types into the person's shell. So: a namespace without other processes,
# and empty folders over those of sockets. The shell is its init: as pid 1 the client itself would ignore signals.
_ALONE = (
    *("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc", "--"),
    *("/bin/sh", "-c", '"$@"; exit $?', "sh"),
)
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts")


@dataclass(frozen=True, slots=True)
class Reach:
    """Everything may be read but people's homes, temporary folders and `hidden`; of these what is named."""

    program: Path  # with what belongs to it: its node_modules, its virtual environment
    readable: tuple[Path, ...]
    writable: tuple[Path, ...]  # and nothing else
    hidden: tuple[Path, ...]


@functools.cache
def can_limit() -> bool:
    """Whether this machine can take files away from a process: tried, not guessed."""
    return _works(
        [*_launcher(), "--read", "/", "--", "/bin/sh", "-c", "test -r /etc && ! touch /tmp 2>/dev/null"]
    )


@functools.cache
def can_be_alone() -> bool:
    """Whether a process can be kept from seeing those outside its tree."""
    return _works([*_ALONE, "/bin/sh", "-c", f"test ! -e /proc/{os.getpid()}/environ"])


def _works(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def limited(argv: Sequence[str], reach: Reach) -> list[str]:
    """`argv` with that reach; as it is where `can_limit` says no."""
    if not can_limit():
        return list(argv)
    options: list[str] = []
    belongings = [part for path in _belongings(reach.program) for part in around(path, reach.hidden)]
    for path in (*_open_parts(reach), *belongings, *reach.readable):
        options += ["--read", str(path)]
    for path in (*reach.writable, *(Path("/dev") / name for name in _DEVICES)):
        options += ["--write", str(path)]
    if not can_be_alone():
        return [*_launcher(), *options, "--", *argv]
    for path in _socket_folders(reach):
        options += ["--mask", str(path)]
    return [*_ALONE, *_launcher(), *options, "--", *argv]


def _launcher() -> list[str]:
    return [sys.executable, "-I", "-S", str(Path(landlock.__file__).resolve())]


def _open_parts(reach: Reach) -> list[Path]:
    homes = {Path(os.path.expanduser("~")), Path("/home"), Path("/root")}  # noqa: PTH111
    folders = {*homes, Path("/tmp"), Path("/var/tmp"), Path("/run/user"), *reach.hidden}
    closed = {folder.resolve() for folder in folders if folder.exists()} - {Path("/")}
    return around(Path("/"), sorted(closed))


def _socket_folders(reach: Reach) -> list[Path]:
    tmux = Path(os.environ.get("TMUX_TMPDIR") or "/tmp", f"tmux-{os.getuid()}")
    found = (tmux, Path("/run/user"), Path("/run/dbus"), *Path("/tmp").glob("ssh-*"))
    needed = (*reach.readable, *reach.writable)
    return [path for path in found if path.is_dir() and not any(n.is_relative_to(path) for n in needed)]


def _belongings(program: Path) -> list[Path]:
    # What it needs to start where people install things below their home: nvm, pipx, npm's prefix, ~/.local/bin.
    found: set[Path] = set(python_homes(str(program)))
    for interpreter in filter(None, (shutil.which("node"), shutil.which("python3"), sys.executable)):
        found |= python_homes(interpreter)
    resolved = program.resolve()
    found |= {program, resolved, *_outermost(resolved, "node_modules")}
    found |= {Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry.startswith("/")}
    home = Path.home().resolve()
    return sorted(path for path in found if path != Path("/") and not home.is_relative_to(path))


def _outermost(path: Path, name: str) -> Iterable[Path]:
    parts = path.parts
    if name in parts:
        yield Path(*parts[: parts.index(name) + 1])
