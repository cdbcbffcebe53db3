"""The pristine copy of the referee that runs import: taken from the base commit, read-only, verified before use."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from sessions.git.repository import Repository
from supervisor.errors import LabError
from supervisor.lab.paths import Lab


def referee_of(lab: Lab, repository: Repository, commit: str) -> dict[str, str]:
    """The referee's files of a lab as of a commit."""
    canvas = lab.config.lab.canvas(repository.list_files(commit))
    return referee_files(repository, commit, canvas, lab.folder)


def referee_files(
    repository: Repository, commit: str, canvas: Sequence[str], folder: str = ""
) -> dict[str, str]:
    """What a canvas may import of its lab: the tracked .py files of its folder that nobody may edit, by name."""
    paths = sorted(
        path
        for path in repository.list_files(commit)
        if path.endswith(".py") and PurePosixPath(path).parent == PurePosixPath(folder) and path not in canvas
    )
    return {PurePosixPath(path).name: text for path, text in repository.read_files(commit, paths).items()}


def hash_referee(files: dict[str, str]) -> str:
    """A short name for exactly these files."""
    digest = hashlib.sha256()
    for path, text in sorted(files.items()):
        digest.update(f"{path}\0{text}\0".encode())
    return digest.hexdigest()[:16]


def write_referee(folder: Path, files: dict[str, str]) -> Path:
    """Lay the copy down under its hash, whole or not at all; returns its folder."""
    target = folder / hash_referee(files)
    if target.is_dir():
        return target
    draft = folder / f".{target.name}.draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for path, text in files.items():
        (draft / path).write_text(text, encoding="utf-8", newline="")
        (draft / path).chmod(0o444)
    draft.rename(target)
    target.chmod(0o555)
    return target


def verify_referee(folder: Path, expected: str) -> Path:
    """The copy named `expected`, proven unchanged. Raises LabError."""
    target = folder / expected
    files = {p.name: p.read_bytes().decode() for p in sorted(target.glob("*.py"))}
    if not target.is_dir() or hash_referee(files) != expected:
        raise LabError(
            f"{target} is not the referee that this campaign began with; remove it and launch again"
        )
    return target
