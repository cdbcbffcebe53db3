"""What a client that an agent started may touch of the file system: Landlock, where the kernel has it.

A client needs the network, so this is no sandbox of a run: it takes away the files of the person and of the lab.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sessions.sandbox.filesystem_view import (
    around,
    private_folders,
    python_homes,
    search_path,
    sockets_of_others,
)
from sessions.sandbox.launchers import in_namespaces, succeeds, under_landlock

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
    """Whether this machine can take files away from a process."""
    trial = ["/bin/sh", "-c", "test -r /etc && ! touch /tmp 2>/dev/null"]
    return succeeds(under_landlock(trial, [Path("/")]))


@functools.cache
def can_be_alone() -> bool:
    """Whether a process can be kept from seeing those outside its tree."""
    trial = ["/bin/sh", "-c", f"test ! -e /proc/{os.getpid()}/environ"]
    return succeeds(in_namespaces(trial, network=True))


def limited(argv: Sequence[str], reach: Reach) -> list[str]:
    """`argv` with that reach; as it is where `can_limit` says no.

    Landlock leaves /proc readable, and there the environments of other processes, with their keys; and it leaves
    sockets open, tmux's above all, through which one types into the person's shell. So: a namespace without other
    processes, and empty folders over those of sockets.
    """
    if not can_limit():
        return list(argv)
    belongings = [part for path in _belongings(reach.program) for part in around(path, reach.hidden)]
    closed = (*private_folders(reach.hidden), *(path for path in reach.hidden if path.is_file()))
    readable = (*around(Path("/"), closed), *belongings, *reach.readable)
    writable = (*reach.writable, *(Path("/dev") / name for name in _DEVICES))
    if not can_be_alone():
        return under_landlock(argv, readable, writable)
    masked = sockets_of_others((*reach.readable, *reach.writable), Path("/run/dbus"))
    return in_namespaces(under_landlock(argv, readable, writable, masked), network=True)


def _belongings(program: Path) -> list[Path]:
    # What it needs to start where people install things below their home: nvm, pipx, npm's prefix, ~/.local/bin.
    resolved = program.resolve()
    belongings = {program, resolved, *python_homes(str(program))}
    for interpreter in filter(None, (shutil.which("node"), shutil.which("python3"), sys.executable)):
        belongings |= python_homes(interpreter)
    if "node_modules" in resolved.parts:
        belongings.add(Path(*resolved.parts[: resolved.parts.index("node_modules") + 1]))
    belongings |= {path for path in search_path(os.environ.get("PATH", "")) if path.is_absolute()}
    home = Path.home().resolve()
    return sorted(path for path in belongings if path != Path("/") and not home.is_relative_to(path))
