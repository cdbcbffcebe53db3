"""What a confined process may see of the file system, however it is confined."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sessions.network import Network
from sessions.sandbox.reach import launcher_folders

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
    device_files: tuple[Path, ...] = ()  # of its GPUs; (): it may use any
    network: Network = Network.NONE
    serves_itself: bool = False  # it may start servers and ask them: a loopback of its own is brought up

    def with_program(self, program: str) -> View:
        """The view that `program` needs to start."""
        variables = ("PYTHONPATH", "LD_LIBRARY_PATH", "CUDA_HOME")
        folders = [path for name in variables for path in search_path(self.env.get(name, ""))]
        launchers = (*python_homes(sys.executable), *launcher_folders()) if self.has_own_loopback else ()
        return replace(
            self,
            readable=(*self.readable, *python_homes(program, self.hidden), *folders, *launchers, self.cwd),
        )

    @property
    def has_own_loopback(self) -> bool:
        """Whether a network namespace of its own has a loopback that works."""
        return self.network is Network.LOOPBACK or (self.serves_itself and self.network is Network.NONE)

    def writable(self) -> list[Path]:
        """The run's own home and temporary folder, and its bench where that is not watched."""
        own = [Path(self.env[name]) for name in ("HOME", "TMPDIR") if name in self.env]
        return [*own, self.cwd] if self.bench_is_open else own


def private_folders(hidden: Iterable[Path]) -> list[Path]:
    """Where people keep what is theirs, where sockets of their services lie, and `hidden`; parents first."""
    homes = {os.path.expanduser("~"), "/home", "/root"}  # noqa: PTH111
    names = {*homes, "/tmp", "/var/tmp", "/run/user", *map(str, hidden)}
    folders = {Path(name).resolve() for name in names if name}
    return sorted(
        (folder for folder in folders if folder.is_dir() and folder != Path("/")),
        key=lambda folder: len(folder.parts),
    )


def programs_on(variable: str, closed: Sequence[Path] = ()) -> set[Path]:
    """What a command of any kind may start by name: the folders of the search path, and the Pythons on it."""
    folders = [path for path in search_path(variable) if path.is_absolute() and path.is_dir()]
    pythons = (
        folder / name for folder in folders for name in ("python", "python3") if (folder / name).exists()
    )
    opened = set(folders).union(*(python_homes(str(python), closed) for python in pythons))
    # pyenv's, asdf's and mise's shims start what lies beside their folder.
    opened |= {folder.parent for folder in folders if folder.name == "shims"}
    # A home is no folder of programs, even when somebody put it on their search path.
    homes = (Path.home(), Path("/root"), Path("/home"), Path("/tmp"))
    return {folder for folder in opened if not any(home.is_relative_to(folder.resolve()) for home in homes)}


def accelerators(own: Sequence[Path] = (), folder: Path = Path("/dev")) -> list[Path]:
    """The device files of GPUs; of NVIDIA's only `own` and what all of them share, where these are there."""
    paths = [path for pattern in _ACCELERATORS for path in folder.glob(pattern)]
    if not own or not set(own) <= set(paths):
        return paths
    return [path for path in paths if path in own or not _ONE_GPU.fullmatch(path.name)]


def sockets_of_others(needed: Iterable[Path], *more: Path) -> list[Path]:
    """Folders with sockets that lead out of any sandbox, tmux's above all, and `more`; but none around `needed`."""
    tmux = Path(os.environ.get("TMUX_TMPDIR") or "/tmp", f"tmux-{os.getuid()}")
    ssh_agents = [path for folder in ("/tmp", tempfile.gettempdir()) for path in Path(folder).glob("ssh-*")]
    folders = dict.fromkeys((tmux, Path("/run/user"), *more, *ssh_agents))
    return [path for path in folders if path.is_dir() and not any(n.is_relative_to(path) for n in needed)]


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


def python_homes(program: str, closed: Sequence[Path] = ()) -> set[Path]:
    """The folders that a Python (or any program) at `program` lives in, through every symbolic link.

    What its environment only refers to stays out where it lies below `closed`.
    """
    homes: set[Path] = set()
    path = Path(shutil.which(program) or program)
    while path.is_absolute():
        homes.add(path.parent.parent if _is_python_home(path.parent.parent) else path.parent)
        if not path.is_symlink():
            break
        path = Path(os.path.normpath(path.parent / path.readlink()))
    return homes.union(*(_elsewhere(home, closed) for home in homes))


def _is_python_home(folder: Path) -> bool:
    # /bin and /lib may be links into /usr: with the root as a Python's home all would lie open.
    if folder == Path("/"):
        return False
    return (folder / "pyvenv.cfg").is_file() or any(folder.glob("lib/python*/os.py"))


def _elsewhere(folder: Path, closed: Sequence[Path]) -> set[Path]:
    # What a virtual environment refers to: its base, and the folders that its .pth files name.
    if not (folder / "pyvenv.cfg").is_file():
        return set()
    settings = (line.partition("=") for line in (folder / "pyvenv.cfg").read_text().splitlines())
    homes = [Path(value.strip()) for key, _, value in settings if key.strip() == "home"]
    elsewhere = {home.resolve().parent for home in homes} | {home.parent for home in homes}
    for file in folder.glob("lib/python*/site-packages/*.pth"):
        named = {Path(line) for line in file.read_text().splitlines() if line.startswith("/")}
        elsewhere |= {path for path in named if not any(path.resolve().is_relative_to(c) for c in closed)}
    return elsewhere


def search_path(variable: str) -> list[Path]:
    """The folders that a variable like PATH lists."""
    return [Path(entry) for entry in variable.split(os.pathsep) if entry]
