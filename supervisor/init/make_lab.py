"""Making labs: a new one from the template, or an autoresearch.toml for a repository that is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sessions.devices.discovery import discover
from sessions.errors import DeviceError
from sessions.git.repository import Repository
from supervisor.errors import LabError
from supervisor.init.lab_toml import config_of, lab_toml
from supervisor.init.survey import find_repository
from supervisor.lab.config import CONFIG_FILE
from supervisor.lab.paths import STATE_FOLDER
from supervisor.lab.presets import PRESETS, Preset, fitting_preset, template_path
from supervisor.recognition.finding import Fact, Finding

TEMPLATE_FILES = ("program.md", "prepare.py", "training/corpus.py", "training/train.py")
IGNORED = f"{STATE_FOLDER}/\n.venv/\n__pycache__/\n"
# The flag by which each fact is said ahead; `Finding.missing` names the facts.
FLAGS = {
    Fact.EDITABLE: "--editable FILE",
    Fact.COMMAND: "--command 'LINE'",
    Fact.METRIC: "--metric NAME",
    Fact.DIRECTION: "--direction lower|higher",
}
UNTOLD = {
    Fact.EDITABLE: "which file may change",
    Fact.COMMAND: "what command measures it",
    Fact.METRIC: "what the printed metric is called",
    Fact.DIRECTION: "whether lower or higher is better",
}


@dataclass(frozen=True, slots=True)
class InitReport:
    """What was made."""

    root: Path
    created: tuple[str, ...]  # paths relative to `root`
    commit: str | None  # of a new lab; None where a repository was there


def template_text(file: str, preset: Preset) -> str:
    """A template file as a new lab of that preset gets it."""
    return preset.stamped(file, (template_path() / file).read_text(encoding="utf-8"))


def preset_named(name: str | None) -> Preset:
    """The preset of that name; None: the one that fits this machine. Raises LabError."""
    if name is None:
        try:
            return fitting_preset(discover(None))
        except DeviceError:
            return PRESETS["cpu"]
    if name not in PRESETS:
        raise LabError(f"there is no preset {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]


def repository_for(directory: Path) -> Repository | None:
    """The repository that `directory` is to be a lab of; None: a folder to be made a new one. Raises LabError."""
    directory = directory.expanduser().resolve()
    if directory.exists() and not directory.is_dir():
        raise LabError(f"{directory} is a file; name a folder")
    # An empty folder inside a repository becomes a lab of its own.
    return find_repository(directory) if directory.is_dir() and any(directory.iterdir()) else None


def init_folder(directory: Path, preset: Preset) -> InitReport:
    """A new lab from the template, with its first commit. Raises LabError."""
    conflicts = [file for file in TEMPLATE_FILES if (directory / file).exists()]
    if conflicts:
        raise LabError(
            f"{directory} has a {conflicts[0]} already and is not in git; "
            "`git init` and commit it there first, or name an empty folder"
        )
    created = list(TEMPLATE_FILES)
    for file in TEMPLATE_FILES:
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        (directory / file).write_text(template_text(file, preset), encoding="utf-8", newline="")
    if not (directory / ".gitignore").exists():
        (directory / ".gitignore").write_text(IGNORED, encoding="utf-8")
        created.insert(0, ".gitignore")
    repository = Repository.init(directory)
    commit = repository.commit_first(created, "A lab: the referee, the canvas and the program")
    return InitReport(directory, tuple(created), commit)


def expect_whole(root: Path, finding: Finding | None) -> Finding:
    """The finding, when nothing that a lab needs is missing. Raises LabError naming the answers."""
    if finding is None:
        raise LabError(
            f"nothing in {root} is known as a lab; say --editable FILE --command 'LINE' --metric NAME, "
            "or run `autoresearch-tui init` in a terminal and be asked"
        )
    if finding.missing:
        untold = " and ".join(UNTOLD[fact] for fact in finding.missing)
        flags = " ".join(FLAGS[fact] for fact in finding.missing)
        raise LabError(f"the files do not tell {untold}; say {flags}")
    return finding


def write_lab(root: Path, finding: Finding, program: str = "") -> InitReport:
    """Write autoresearch.toml, and program.md where there is none and `program` says something."""
    config_of(finding)  # what the lab could not read is not written
    created = [CONFIG_FILE]
    _write_new(root / CONFIG_FILE, lab_toml(finding))
    if program and not (root / "program.md").exists():
        _write_new(root / "program.md", program)
        created.append("program.md")
    return InitReport(root, tuple(created), None)


def _write_new(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise LabError(f"{file} cannot be written: {error.strerror}") from None
