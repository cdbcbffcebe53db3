"""What confines a training run: no network, no other user files, and no process that outlives it.

Three grades, the best that works here: bubblewrap; plain namespaces through unshare (no network, no
survivors, but the file system stays open); nothing, where the system allows neither.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path

from sessions.training_runs import RunSpec

_PROBE_TIMEOUT_S = 5.0
_ACCELERATORS = ("nvidia*", "dri", "kfd", "dxg")


class Confinement(StrEnum):
    """What really confines a run."""

    BWRAP = "bwrap"
    UNSHARE = "unshare"
    NONE = "none"


@functools.cache
def probe() -> Confinement:
    """The best confinement that works on this machine, found by running its real command line once."""
    with tempfile.TemporaryDirectory() as folder:
        for grade in (Confinement.BWRAP, Confinement.UNSHARE):
            command = _command(grade, ["/bin/sh", "-c", "test -w ."], Path(folder), {}, ())
            if shutil.which(grade) and _works(command, folder):
                return grade
    return Confinement.NONE


def wrap(argv: Sequence[str], spec: RunSpec, confinement: Confinement | None = None) -> list[str]:
    """`argv` inside the confinement that `spec` asks for and the machine offers."""
    grade = confinement if confinement is not None else confinement_of(spec)
    return _command(grade, argv, spec.cwd, spec.env, spec.readable)


def confinement_of(spec: RunSpec) -> Confinement:
    """What confines the runs of this spec on this machine."""
    return probe() if spec.sandbox else Confinement.NONE


def _command(
    grade: Confinement, argv: Sequence[str], cwd: Path, env: dict[str, str], readable: Iterable[Path]
) -> list[str]:
    match grade:
        case Confinement.BWRAP:
            needed = [*readable, *_python_homes(argv[0]), *_search_path(env.get("PYTHONPATH", ""))]
            return [*_bubblewrap(cwd.resolve(), env, needed), "--", *argv]
        case Confinement.UNSHARE:
            # The shell is the namespace's init: as pid 1 the run itself would ignore signals.
            unshare = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]
            return [*unshare, "--mount-proc", "--", "/bin/sh", "-c", '"$@"; exit $?', "sh", *argv]
        case Confinement.NONE:
            return list(argv)


def _bubblewrap(cwd: Path, env: dict[str, str], readable: Iterable[Path]) -> list[str]:
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
    for device in (path for pattern in _ACCELERATORS for path in Path("/dev").glob(pattern)):
        command += ["--dev-bind", str(device), str(device)]
    masks = _masked_folders(env)
    for folder in masks:
        command += ["--tmpfs", str(folder)]
    # Parents first, or a later bind would hide an earlier one.
    for path in sorted(_below_a_mask(readable, masks), key=lambda path: len(path.parts)):
        command += ["--ro-bind-try", str(path), str(path)]
    for path in (Path(env["TMPDIR"]), cwd) if "TMPDIR" in env else (cwd,):
        if path.resolve() not in masks:
            command += ["--bind-try", str(path), str(path)]
    return [*command, "--chdir", str(cwd)]


def _masked_folders(env: dict[str, str]) -> list[Path]:
    """Where people keep what is theirs, and where sockets of their services lie."""
    homes = {os.path.expanduser("~"), env.get("HOME", "/"), "/home", "/root"}  # noqa: PTH111
    found = {Path(folder).resolve() for folder in (*homes, "/tmp", "/var/tmp", "/run/user") if folder}
    kept = [folder for folder in found if folder.is_dir() and folder != Path("/")]
    return sorted(kept, key=lambda folder: len(folder.parts))


def _below_a_mask(paths: Iterable[Path], masks: Sequence[Path]) -> set[Path]:
    absolute = {Path(os.path.abspath(path)) for path in paths}  # noqa: PTH100 - links stay as they are
    both = absolute | {path.resolve() for path in absolute}
    return {path for path in both if any(path != mask and path.is_relative_to(mask) for mask in masks)}


def _python_homes(program: str) -> set[Path]:
    """The folders that a Python (or any program) at `program` lives in, through every symbolic link."""
    found: set[Path] = set()
    path = Path(shutil.which(program) or program)
    while path.is_absolute():
        found.add(path.parent.parent if _is_python_home(path.parent.parent) else path.parent)
        if not path.is_symlink():
            break
        path = Path(os.path.normpath(path.parent / path.readlink()))
    for folder in tuple(found):
        found |= _elsewhere(folder)
    return found


def _is_python_home(folder: Path) -> bool:
    return (folder / "pyvenv.cfg").is_file() or any(folder.glob("lib/python*/os.py"))


def _elsewhere(folder: Path) -> set[Path]:
    # What a virtual environment refers to: its base, and the folders that its .pth files name.
    found: set[Path] = set()
    if (folder / "pyvenv.cfg").is_file():
        settings = (line.partition("=") for line in (folder / "pyvenv.cfg").read_text().splitlines())
        homes = [Path(value.strip()) for key, _, value in settings if key.strip() == "home"]
        found |= {home.resolve().parent for home in homes} | {home.parent for home in homes}
        for file in folder.glob("lib/python*/site-packages/*.pth"):
            found |= {Path(line) for line in file.read_text().splitlines() if line.startswith("/")}
    return found


def _search_path(value: str) -> list[Path]:
    return [Path(entry) for entry in value.split(os.pathsep) if entry]


def _works(command: Sequence[str], cwd: str) -> bool:
    try:
        done = subprocess.run(
            command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
