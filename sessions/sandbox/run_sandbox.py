"""What confines a training run: its reach on the network, no other user files, and no process that outlives it.

Four grades, the best that works here: bubblewrap; namespaces through unshare with Landlock for the file
system; plain namespaces (the network, no survivors, but the file system stays open); nothing.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from sessions.network import Network
from sessions.sandbox.filesystem_view import (
    View,
    accelerators,
    around,
    private_folders,
    sockets_of_others,
)
from sessions.sandbox.launchers import in_namespaces, succeeds, under_landlock
from sessions.sandbox.reach import with_own_loopback, with_relay

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
        return grade in _TOOLS and bool(shutil.which(_TOOLS[grade])) and succeeds(command, folder)


def protects_files() -> bool:
    """Whether a run can be kept from writing into other people's files here."""
    return probe() in (Confinement.BWRAP, Confinement.LANDLOCK)


def confined_argv(grade: Confinement, argv: Sequence[str], view: View) -> list[str]:
    """`argv` confined that way to what `view` shows."""
    view = view.with_program(argv[0])
    match grade:
        case Confinement.BWRAP:
            confined = [*_bubblewrap(view), "--", *_networked(argv, view)]
        case Confinement.LANDLOCK:
            inner = _networked(_landlocked(argv, view), view)
            confined = in_namespaces(inner, network=view.network is Network.OPEN)
        case Confinement.UNSHARE:
            inner = _networked(argv, view)
            confined = in_namespaces(inner, network=view.network is Network.OPEN)
        case Confinement.NONE:
            return list(argv)
    return with_relay(confined, view.network)


def _networked(argv: Sequence[str], view: View) -> list[str]:
    return with_own_loopback(argv) if view.has_own_loopback else list(argv)


def _bubblewrap(view: View) -> list[str]:
    command = [
        "bwrap",
        "--die-with-parent",
        "--unshare-user",
        "--unshare-pid",
        *(() if view.network is Network.OPEN else ("--unshare-net",)),
        "--unshare-ipc",
    ]
    command += ["--cap-drop", "ALL", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
    for device in accelerators(view.device_files):
        command += ["--dev-bind", str(device), str(device)]
    masks = private_folders(view.hidden)
    mounts: list[tuple[Path, tuple[str, ...]]] = [(path, ("--tmpfs", str(path))) for path in masks]
    for option, paths in (("--ro-bind-try", view.readable), ("--bind-try", view.writable())):
        both = {path for named in paths for path in (Path(os.path.abspath(named)), named.resolve())}  # noqa: PTH100
        below = [path for path in both if any(path != m and path.is_relative_to(m) for m in masks)]
        if option == "--bind-try":
            below = list(both - set(masks))
        mounts += [(path, (option, str(path), str(path))) for path in below]
    # Parents first, or a later mount would hide, or lay open, what an earlier one did.
    for _, mount in sorted(mounts, key=lambda entry: len(entry[0].parts)):
        command += mount
    return [*command, "--chdir", str(view.cwd)]


def _landlocked(argv: Sequence[str], view: View) -> list[str]:
    closed = (*private_folders(view.hidden), Path("/dev"), Path("/proc"))
    devices = (*(Path("/dev") / name for name in _PLAIN_DEVICES), *accelerators(view.device_files))
    return under_landlock(
        argv,
        readable=(*around(Path("/"), closed), Path("/proc"), *_open_parts(view)),
        writable=(*view.writable(), *devices),
        masked=sockets_of_others((*view.readable, *view.writable()), Path("/dev/shm")),
    )


def _open_parts(view: View) -> list[Path]:
    # Of what a run needs, all but the lab's state that may lie below it.
    return [part for path in view.readable for part in around(path.resolve(), view.hidden)]
