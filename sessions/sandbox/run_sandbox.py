"""What confines a training run: no network, no other user files, and no process that outlives it.

Four grades, the best that works here: bubblewrap; namespaces through unshare with Landlock for the file
system; plain namespaces (no network, no survivors, but the file system stays open); nothing.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from sessions.sandbox import landlock
from sessions.sandbox.filesystem_view import View, accelerators, around, sockets_of_others

_PROBE_TIMEOUT_S = 5.0
_PLAIN_DEVICES = ("null", "zero", "full", "random", "urandom", "shm")


class Confinement(StrEnum):
    """What really confines a run."""

    BWRAP = "bwrap"
    LANDLOCK = "landlock"
    UNSHARE = "unshare"
    NONE = "none"


_TOOLS = {Confinement.BWRAP: "bwrap", Confinement.LANDLOCK: "unshare", Confinement.UNSHARE: "unshare"}


@functools.cache
def probe() -> Confinement:
    """The best confinement that works on this machine, found by running its real command line once."""
    return next((grade for grade in _TOOLS if works(grade)), Confinement.NONE)


def works(grade: Confinement) -> bool:
    """Whether this machine can confine that way: tried, not guessed."""
    with tempfile.TemporaryDirectory() as folder:
        view = View(Path(folder), {"TMPDIR": folder}, (), (), bench_is_open=True)
        command = confined_argv(grade, ["/bin/sh", "-c", "test -w . && true < /etc/passwd"], view)
        return grade in _TOOLS and bool(shutil.which(_TOOLS[grade])) and _runs(command, folder)


def confined_argv(grade: Confinement, argv: Sequence[str], view: View) -> list[str]:
    view = view.with_program(argv[0])
    match grade:
        case Confinement.BWRAP:
            return [*_bubblewrap(view), "--", *argv]
        case Confinement.LANDLOCK:
            launcher = [sys.executable, "-I", "-S", str(Path(landlock.__file__).resolve())]
            return [*_UNSHARE, *launcher, *_landlock_options(view), "--", *argv]
        case Confinement.UNSHARE:
            return [*_UNSHARE, *argv]
        case Confinement.NONE:
            return list(argv)


# The shell is the namespace's init: as pid 1 the run itself would ignore signals.
_UNSHARE = (
    *("unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"),
    *("--mount-proc", "--", "/bin/sh", "-c", '"$@"; exit $?', "sh"),
)


def _bubblewrap(view: View) -> list[str]:
    command = ["bwrap", "--die-with-parent", "--unshare-user", "--unshare-pid", "--unshare-net"]
    command += [
        "--unshare-ipc",
        "--cap-drop",
        "ALL",
        "--ro-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
    ]
    for device in accelerators(view.device_file):
        command += ["--dev-bind", str(device), str(device)]
    masks = view.masks()
    mounts: list[tuple[Path, tuple[str, ...]]] = [(path, ("--tmpfs", str(path))) for path in masks]
    for option, paths in (("--ro-bind-try", view.readable), ("--bind-try", view.writable())):
        both = {path for given in paths for path in (Path(os.path.abspath(given)), given.resolve())}  # noqa: PTH100
        below = [path for path in both if any(path != m and path.is_relative_to(m) for m in masks)]
        if option == "--bind-try":
            below = list(both - set(masks))
        mounts += [(path, (option, str(path), str(path))) for path in below]
    # Parents first, or a later mount would hide, or lay open, what an earlier one did.
    for _, mount in sorted(mounts, key=lambda entry: len(entry[0].parts)):
        command += mount
    return [*command, "--chdir", str(view.cwd)]


def _landlock_options(view: View) -> list[str]:
    command: list[str] = []
    for path in sockets_of_others(view):
        command += ["--mask", str(path)]
    closed = (*view.masks(), Path("/dev"), Path("/proc"))
    for path in (*around(Path("/"), closed), Path("/proc"), *_open_parts(view)):
        command += ["--read", str(path)]
    for path in (
        *view.writable(),
        *(Path("/dev") / name for name in _PLAIN_DEVICES),
        *accelerators(view.device_file),
    ):
        command += ["--write", str(path)]
    return command


def _open_parts(view: View) -> list[Path]:
    # Of what a run needs, all but the lab's state that may lie below it.
    return [part for path in view.readable for part in around(path.resolve(), view.hidden)]


def _runs(command: Sequence[str], cwd: str) -> bool:
    try:
        done = subprocess.run(
            command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
