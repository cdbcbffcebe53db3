"""Where a lab is, and where its things lie."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sessions.errors import NotARepository
from sessions.git.repository import Repository
from supervisor.errors import ConfigError, NotALab
from supervisor.lab.config import CONFIG_FILE, LabConfig, default_config, karpathy_config, read_config

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

    root: Path  # top of the person's work tree
    state_dir: Path
    config: LabConfig
    layout: Layout
    has_referee: bool  # prepare.py speaks the run channel; else a printed metric serves

    @property
    def marker(self) -> str:
        """In the environment of every process of the lab's runs: how leftovers are found."""
        return hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]

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
    root = _root_of(start)
    layout = detect_layout(root)
    file = root / CONFIG_FILE
    if layout is None and not file.is_file():
        raise NotALab(
            f"{root} has no {CONFIG_FILE}, nor prepare.py with training/train.py or train.py; "
            "`autoresearch-tui init` writes one for what it finds"
        )
    config = LAYOUT_CONFIGS[layout]() if layout else LabConfig()
    if file.is_file():
        config = read_config(file, config)
    _expect_editable_files(root, config, file)
    return Lab(
        root=root,
        state_dir=state_dir.expanduser().resolve() if state_dir else _state_dir_of(root),
        config=config,
        layout=layout or Layout.CUSTOM,
        has_referee=has_referee(root),
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


def _root_of(start: Path) -> Path:
    start = start.expanduser().resolve()
    if not start.is_dir():
        raise NotALab(f"{start} is not a folder; name a lab's with --lab")
    # The state folder is a repository of its own, with the agents' worktrees: the lab is around it.
    for folder in (start, *start.parents):
        if folder.name == STATE_FOLDER:
            start = folder.parent
    # Where there is state, git need not be asked: importing it costs as much as reading the lab.
    top = next((folder for folder in (start, *start.parents) if (folder / ".git").exists()), None)
    if top is not None and (top / STATE_FOLDER).is_dir():
        return top
    try:
        return Repository.find(start).root
    except NotARepository as error:
        raise NotALab(
            f"{start} is not in a git repository; `autoresearch-tui init` makes a lab, --lab DIR names one"
        ) from error


def _state_dir_of(root: Path) -> Path:
    state = root / STATE_FOLDER
    pointer = state / STATE_POINTER
    return Path(pointer.read_text(encoding="utf-8").strip()) if pointer.is_file() else state


def _expect_editable_files(root: Path, config: LabConfig, file: Path) -> None:
    for path in config.lab.editable:
        if not (root / path).is_file():
            source = CONFIG_FILE if file.is_file() else str(root)
            raise ConfigError(f"{source}: [lab] editable: there is no {path} in {root}")


def data_cache() -> Path:
    """Where prepared data lives; prepare.py uses the same place."""
    variable = os.environ.get("AUTORESEARCH_CACHE")
    return Path(variable).expanduser() if variable else Path.home() / ".cache" / "autoresearch-tui"


def sealed_data() -> Path:
    """Where prepare.py keeps what no run may read, the holdout above all; prepare.py uses the same place."""
    return data_cache().with_name(f"{data_cache().name}-sealed")
