"""What a confined run may see of the file system: pure of how it is confined."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

_ACCELERATORS = ("nvidia*", "dri", "kfd", "dxg")
_ONE_GPU = re.compile(r"nvidia\d+")


@dataclass(frozen=True, slots=True)
class View:
    """Everything but people's homes and `hidden` may be read; of these only what is named."""

    cwd: Path  # the bench, resolved
    env: dict[str, str]
    readable: tuple[Path, ...]
    hidden: tuple[Path, ...]
    bench_is_open: bool  # whether the run may write in its bench
    device_file: Path | None = None  # of its GPU; None: it may use any

    def with_program(self, program: str) -> View:
        """The view that `program` needs to start."""
        searched = (self.env.get(name, "") for name in ("PYTHONPATH", "LD_LIBRARY_PATH", "CUDA_HOME"))
        folders = [Path(part) for value in searched for part in value.split(os.pathsep) if part]
        return replace(self, readable=(*self.readable, *python_homes(program), *folders, self.cwd))

    def masks(self) -> list[Path]:
        """Where people keep what is theirs, where sockets of their services lie, and the lab's state."""
        homes = {os.path.expanduser("~"), "/home", "/root"}  # noqa: PTH111
        folders = {*homes, "/tmp", "/var/tmp", "/run/user", *map(str, self.hidden)}
        found = {Path(folder).resolve() for folder in folders if folder}
        kept = [folder for folder in found if folder.is_dir() and folder != Path("/")]
        return sorted(kept, key=lambda folder: len(folder.parts))

    def writable(self) -> list[Path]:
        """The run's own home and temporary folder, and its bench where that is not watched."""
        own = [Path(self.env[name]) for name in ("HOME", "TMPDIR") if name in self.env]
        return [*own, self.cwd] if self.bench_is_open else own


def programs_on(search_path: str) -> set[Path]:
    """What a command of any kind may start by name: the folders of the search path, and the Pythons on it."""
    folders = [folder for folder in _search_path(search_path) if folder.is_absolute() and folder.is_dir()]
    pythons = (
        folder / name for folder in folders for name in ("python", "python3") if (folder / name).exists()
    )
    found = set(folders).union(*map(python_homes, map(str, pythons)))
    # pyenv's, asdf's and mise's shims start what lies beside their folder.
    found |= {folder.parent for folder in folders if folder.name == "shims"}
    # A home is no folder of programs, even when somebody put it on their search path.
    homes = (Path.home(), Path("/root"), Path("/home"), Path("/tmp"))
    return {folder for folder in found if not any(home.is_relative_to(folder.resolve()) for home in homes)}


def accelerators(own: Path | None = None, folder: Path = Path("/dev")) -> list[Path]:
    """The device files of GPUs; of NVIDIA's only `own` and what all of them share, where `own` is one of them."""
    found = [path for pattern in _ACCELERATORS for path in folder.glob(pattern)]
    if own not in found:
        return found
    return [path for path in found if path == own or not _ONE_GPU.fullmatch(path.name)]


def sockets_of_others(view: View) -> list[Path]:
    """Folders with sockets that lead out of any sandbox, tmux's above all, and memory shared with other runs."""
    tmux = Path(os.environ.get("TMUX_TMPDIR") or "/tmp", f"tmux-{os.getuid()}")
    agents = Path(tempfile.gettempdir()).glob("ssh-*")
    found = (tmux, Path("/run/user"), Path("/dev/shm"), *agents)
    needed = (*view.readable, *view.writable())
    return [path for path in found if path.is_dir() and not any(n.is_relative_to(path) for n in needed)]


def around(folder: Path, closed: Sequence[Path]) -> list[Path]:
    """The largest parts of `folder` that hold nothing of `closed`. Links are left to what they lead to."""
    if folder in closed:
        return []
    if not any(path.is_relative_to(folder) for path in closed):
        return [folder]
    try:
        children = sorted(child for child in folder.iterdir() if not child.is_symlink())
    except OSError:
        return []
    return [part for child in children for part in around(child, closed)]


def python_homes(program: str) -> set[Path]:
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
    # /bin and /lib may be links into /usr: with the root as a Python's home all would lie open.
    if folder == Path("/"):
        return False
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
