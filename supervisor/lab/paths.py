"""Where a lab is, and where its things lie."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from sessions.errors import NotARepository
from sessions.git.command import ask_git
from sessions.git.repository import Repository
from supervisor.errors import ConfigError, NotALab
from supervisor.lab.config import (
    CONFIG_FILE,
    LabConfig,
    custom_config,
    default_config,
    karpathy_config,
    read_config,
)
from supervisor.text import matches_glob, slug

STATE_FOLDER = ".autoresearch"
STATE_POINTER = "state-dir"  # inside STATE_FOLDER: where the state is, when it is elsewhere
REFEREE = "prepare.py"
REFEREE_MARK = "AUTORESEARCH_CHANNEL"  # only our referee reports over the run channel


class Layout(StrEnum):
    """How a lab was recognised."""

    OURS = "ours"  # program.md, prepare.py, training/train.py
    KARPATHY = "karpathy"  # program.md, prepare.py, train.py
    CUSTOM = "custom"  # autoresearch.toml says it all


LAYOUT_FILES = {
    Layout.OURS: ("program.md", REFEREE, "training/train.py"),
    Layout.KARPATHY: ("program.md", REFEREE, "train.py"),
}
LAYOUT_CONFIGS = {Layout.OURS: default_config, Layout.KARPATHY: karpathy_config}


@dataclass(frozen=True, slots=True)
class Lab:
    """A git repository under research. Says where things lie; makes nothing."""

    root: Path  # of the person's work tree the top, or the folder in it that has the autoresearch.toml
    state_dir: Path
    config: LabConfig
    layout: Layout
    has_referee: bool  # prepare.py speaks the run channel; else a printed metric serves
    folder: str = (
        ""  # the root in its repository: "" at the top; paths of the configuration count from the top
    )

    @property
    def marker(self) -> str:
        """In the environment of every process of the lab's runs: how leftovers are found."""
        return hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]

    @property
    def top(self) -> Path:
        """Of the person's work tree, around the lab's folder."""
        return Path(*self.root.parts[: len(self.root.parts) - len(Path(self.folder).parts)])

    @property
    def refs(self) -> str:
        """Where the lab keeps what no branch holds: of its own, where a repository has several labs."""
        return "refs/autoresearch" + (f"/in/{slug(self.folder, 60)}" if self.folder else "")

    def within(self, path: str) -> str:
        """A path of the configuration, or of a commit, as the lab's own folder has it."""
        return path.removeprefix(f"{self.folder}/") if self.folder else path

    @property
    def db(self) -> Path:
        """The one source of truth."""
        return self.state_dir / "lab.db"

    @property
    def notes_dir(self) -> Path:
        """The shared notes, one Markdown file each."""
        return self.state_dir / "notes"

    @property
    def plan_file(self) -> Path:
        """The chief's current plan, readable as it stands."""
        return self.state_dir / "plan.md"

    @property
    def runs_dir(self) -> Path:
        """One folder per experiment."""
        return self.state_dir / "runs"

    @property
    def worktrees_dir(self) -> Path:
        """Where agents edit, one checkout each."""
        return self.state_dir / "worktrees"

    @property
    def benches_dir(self) -> Path:
        """Where runs happen, one checkout per device."""
        return self.state_dir / "benches"

    @property
    def referee_dir(self) -> Path:
        """Read-only copies of the protected files, by hash."""
        return self.state_dir / "referee"

    @property
    def holdout_dir(self) -> Path:
        """The sealed holdouts, by data fingerprint; no run and no agent may read here."""
        return self.state_dir / "holdout"

    @property
    def results_tsv(self) -> Path:
        """Results in karpathy's five columns."""
        return self.state_dir / "results.tsv"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the one live supervisor."""
        return self.state_dir / "supervisor.lock"

    @property
    def server_lock(self) -> Path:
        """Held while the lab's tmux server is started or ended."""
        return self.state_dir / "server.lock"

    @property
    def panes_dir(self) -> Path:
        """What the agents' panes said, of a lab whose tmux server has ended."""
        return self.state_dir / "panes"

    @property
    def uv_pointer(self) -> Path:
        """Says where the environment of a lab under uv is."""
        return self.state_dir / "uv-environment"

    @property
    def uv_environment(self) -> Path | None:
        """The environment that the set-up settled on; None before it, or without uv."""
        pointer = self.uv_pointer
        if not pointer.is_file():
            return None
        named = Path(pointer.read_text(encoding="utf-8").strip())
        # The lab may have been moved since, and its environment with it.
        moved = (self.state_dir / named.name, self.root / named.name)
        return next((place for place in (named, *moved) if place.is_dir()), named)

    @property
    def active_pointer(self) -> Path:
        """Says which environment of the person's was active when the campaign was launched."""
        return self.state_dir / "active-environment"

    @property
    def active_environment(self) -> Path | None:
        """The virtual or conda environment that the launch settled on; None where it settled on none."""
        pointer = self.active_pointer
        return Path(pointer.read_text(encoding="utf-8").strip()) if pointer.is_file() else None

    @property
    def worktree_lock(self) -> Path:
        """Held around every change to git's list of worktrees."""
        return self.state_dir / "worktree.lock"

    @property
    def program_file(self) -> Path:
        """What the person wants researched."""
        return self.root / "program.md"


def find_lab(start: Path, state_dir: Path | None = None) -> Lab:
    """The lab around `start`, from anywhere in its repository. Raises NotALab or ConfigError."""
    root, top = _root_of(start)
    folder = root.relative_to(top).as_posix() if root != top else ""
    layout = detect_layout(root)
    file = root / CONFIG_FILE
    if layout is None and not file.is_file():
        raise NotALab(
            f"{root} has no {CONFIG_FILE}, nor prepare.py with training/train.py or train.py; "
            "`autoresearch-tui init` writes one for what it finds"
        )
    config = LAYOUT_CONFIGS[layout]() if layout else custom_config(prepared=(root / REFEREE).is_file())
    if file.is_file():
        config = read_config(file, config)
    return Lab(
        root=root,
        state_dir=state_dir.expanduser().resolve() if state_dir else _state_dir_of(root),
        config=with_files(config, root, folder),
        layout=layout or Layout.CUSTOM,
        has_referee=has_referee(root),
        folder=folder,
    )


def detect_layout(root: Path) -> Layout | None:
    """The known layout that the files at `root` form, if any."""
    return next(
        (layout for layout, files in LAYOUT_FILES.items() if all((root / file).is_file() for file in files)),
        None,
    )


def has_referee(root: Path) -> bool:
    """Whether the prepare.py at `root` is one that speaks the run channel."""
    try:
        return REFEREE_MARK in (root / REFEREE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _root_of(start: Path) -> tuple[Path, Path]:
    """The lab's folder around `start`, and the top of its repository. Raises NotALab."""
    start = start.expanduser().resolve()
    if not start.is_dir():
        raise NotALab(f"{start} is not a folder; name a lab's with --lab")
    # The state folder is a repository of its own, with the agents' worktrees: the lab is around it.
    for folder in (start, *start.parents):
        if folder.name == STATE_FOLDER:
            start = folder.parent
    # Where there is state, git need not be asked: importing it costs as much as reading the lab.
    top = next((folder for folder in (start, *start.parents) if (folder / ".git").exists()), None)
    own = _own_folder(start, top) if top is not None else None
    if top is not None and ((own or top) / STATE_FOLDER).is_dir():
        return own or top, top
    try:
        top = Repository.find(start).root
    except NotARepository as error:
        raise NotALab(
            f"{start} is not in a git repository; `autoresearch-tui init` makes a lab, --lab DIR names one"
        ) from error
    return _own_folder(start, top) or top, top


def _own_folder(start: Path, top: Path) -> Path | None:
    """The nearest folder around `start` with a configuration of its own; None where there is none up to the top."""
    folders = (folder for folder in (start, *start.parents) if folder.is_relative_to(top))
    return next((folder for folder in folders if (folder / CONFIG_FILE).is_file()), None)


def _state_dir_of(root: Path) -> Path:
    state = root / STATE_FOLDER
    pointer = state / STATE_POINTER
    return Path(pointer.read_text(encoding="utf-8").strip()) if pointer.is_file() else state


def with_files(config: LabConfig, root: Path, folder: str) -> LabConfig:
    """A lab's configuration, its paths as commits have them, its editable folders and globs as files.

    `folder`: of the lab in its repository, see `Lab.folder`. Raises ConfigError.
    """
    source = CONFIG_FILE if (root / CONFIG_FILE).is_file() else str(root)
    files: list[str] = []
    globs: list[str] = []
    for path in config.lab.editable:
        place = root / path
        if place.is_symlink():
            raise ConfigError(
                f"{source}: [lab] editable: {path} is a link to {place.readlink()}; name the file itself"
            )
        if place.is_file():
            files.append(path)
            continue
        glob = f"{path.rstrip('/')}/**" if place.is_dir() else path
        held = [held for held in _tracked(root) if matches_glob(held, glob)] if _is_glob(glob) else []
        if not held:
            what = f"{path} has no committed file" if place.is_dir() else f"there is no {path} in {root}"
            raise ConfigError(f"{source}: [lab] editable: {what}")
        files += held
        globs.append(glob)
    within = partial(str.__add__, f"{folder}/" if folder else "")
    paths = {
        "editable": tuple(map(within, dict.fromkeys(files))),
        "new_files": tuple(map(within, (*config.lab.new_files, *globs))),
    }
    return config.model_copy(update={"lab": config.lab.model_copy(update=paths)})


def _is_glob(path: str) -> bool:
    return any(mark in path for mark in "*?[")


def _tracked(root: Path) -> tuple[str, ...]:
    """The plain files of the lab that git tracks, relative to it; links are left out."""
    listing = ask_git(root, "ls-files", "-z", "--", ".").split("\0")
    return tuple(
        path for path in listing if path and (root / path).is_file() and not (root / path).is_symlink()
    )


def data_cache() -> Path:
    """Where prepared data lives; prepare.py uses the same place."""
    variable = os.environ.get("AUTORESEARCH_CACHE")
    return Path(variable).expanduser() if variable else Path.home() / ".cache" / "autoresearch-tui"


def sealed_data() -> Path:
    """Where prepare.py keeps what no run may read, the holdout above all; prepare.py uses the same place."""
    return data_cache().with_name(f"{data_cache().name}-sealed")
