"""Making labs: a new one from the template, or an autoresearch.toml for a repository that is there."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from sessions.errors import NotARepository
from sessions.git import Repository
from supervisor.config import CONFIG_FILE, karpathy_config
from supervisor.errors import LabError
from supervisor.lab import STATE_FOLDER, Layout, detect_layout

TEMPLATE_FILES = ("program.md", "prepare.py", "training/train.py")
# What the template's train.py is set to; the knobs of other presets are stamped into it as plain text.
PRESETS = {"cpu": "a plain textbook start for one pinned CPU core, 20 s of CPU time a run"}
DEFAULT_PRESET = "cpu"
IGNORED = f"{STATE_FOLDER}/\n.venv/\n__pycache__/\n"
LIKELY_CANVASES = ("training/train.py", "train.py", "src/train.py", "scripts/train.py", "main.py")


@dataclass(frozen=True, slots=True)
class InitReport:
    """What `init_lab` did."""

    root: Path
    created: tuple[str, ...]  # paths relative to `root`
    commit: str | None  # of a new lab; None where a repository was there


def template_path() -> Path:
    """The folder of program.md, prepare.py and training/train.py: inside the wheel, or the checkout."""
    here = Path(__file__).resolve().parent
    shipped = here / "template"
    return shipped if shipped.is_dir() else here.parent


def init_lab(directory: Path, preset: str = DEFAULT_PRESET) -> InitReport:
    """Make `directory` a lab. Raises LabError when it is one, or when there is nothing to go by."""
    if preset not in PRESETS:
        raise LabError(f"there is no preset {preset!r}; known: {', '.join(PRESETS)}")
    directory = directory.expanduser().resolve()
    if directory.exists() and not directory.is_dir():
        raise LabError(f"{directory} is a file; name a folder")
    if directory.is_dir() and any(directory.iterdir()):
        try:
            return _init_repository(Repository.find(directory).root)
        except NotARepository:
            pass
    return _init_folder(directory)


def _init_folder(directory: Path) -> InitReport:
    taken = [file for file in TEMPLATE_FILES if (directory / file).exists()]
    if taken:
        raise LabError(
            f"{directory} has a {taken[0]} already and is not in git; "
            "`git init` and commit it there first, or name an empty folder"
        )
    created = list(TEMPLATE_FILES)
    for file in TEMPLATE_FILES:
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(template_path() / file, directory / file)
    if not (directory / ".gitignore").exists():
        (directory / ".gitignore").write_text(IGNORED, encoding="utf-8")
        created.insert(0, ".gitignore")
    repository = Repository.init(directory)
    commit = repository.commit_first(created, "A lab: the referee, the canvas and the programme")
    return InitReport(directory, tuple(created), commit)


def _init_repository(root: Path) -> InitReport:
    file = root / CONFIG_FILE
    if file.exists():
        raise LabError(
            f"{root} is a lab already: {CONFIG_FILE} is there; edit it, or `autoresearch-tui launch`"
        )
    file.write_text(config_for(root), encoding="utf-8")
    return InitReport(root, (CONFIG_FILE,), None)


def config_for(root: Path) -> str:
    """The text of an autoresearch.toml for the repository at `root`. Raises LabError when nothing fits."""
    match detect_layout(root):
        case Layout.OURS:
            lab = _lab_lines("training/train.py", "{python} training/train.py", "{python} prepare.py")
        case Layout.KARPATHY:
            theirs = karpathy_config().lab
            caches = f'\ncaches   = ["{theirs.caches[0]}"]  # folders that a run may read'
            lab = _lab_lines(theirs.editable[0], theirs.command, theirs.setup) + caches
        case _:
            canvas = next((path for path in LIKELY_CANVASES if (root / path).is_file()), None)
            if canvas is None:
                raise LabError(
                    f"{root} has none of {', '.join(LIKELY_CANVASES)}: write an {CONFIG_FILE} "
                    "with [lab] editable and command, and [metric] name (README.md, “Any repository”)"
                )
            lab = _lab_lines(canvas, f"{{python}} {canvas}", "")
    return f"""{lab}
# python = ""           # default: the lab's own .venv or uv environment, else the tool's
# budget_s = 300        # training seconds; default: 20 of CPU time on a CPU, else 300
# seed_env = "SEED"     # how the command takes a seed, if it does
# env = []              # variables passed on; everything else but a short allow-list is not

[metric]
name = "val_bpb"        # the command prints `val_bpb: 1.234`, or reports it through our referee
direction = "lower"

[agents]
juniors = 2
# chief  = {{ backend = "offline" }}
# junior = {{ backend = "offline" }}

[limits]                # any one ends the run
# experiments = 100
# hours = 8
# usd = 20
"""


def _lab_lines(canvas: str, command: str, setup: str) -> str:
    return f"""[lab]
editable = ["{canvas}"]  # all else is protected
command  = "{command}"
setup    = "{setup}\""""
