"""Hashes of the files that a run must leave as they are, and what differs between two looks at them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from sessions.runs.contract import RunSpec

Hashes = dict[str, str]  # "prepare.py of the referee's copy" to the hash of what it holds


def hash_kept_files(spec: RunSpec) -> Hashes:
    """The referee's copy and what may not change of the bench: all of it where there is a referee."""
    if spec.referee is None:
        return {}
    referee = _hash_all("the referee's copy", spec.referee, _files_below(spec.referee))
    bench = _files_below(spec.cwd) if spec.has_referee else spec.protected
    return referee | _hash_all("the bench", spec.cwd, bench)


def find_change(before: Hashes, after: Hashes) -> str:
    """Why the run is refused, or "" when nothing changed."""
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if not names:
        return ""
    name = names[0]
    what = "appeared" if name not in before else "is gone" if name not in after else "changed"
    more = f", and {len(names) - 1} more" if len(names) > 1 else ""
    return f"tampering: {name} {what} while it ran{more}"


def _hash_all(place: str, folder: Path, files: Iterable[Path]) -> Hashes:
    hashes = {}
    for path in files:
        try:
            hashes[f"{os.path.relpath(path, folder)} of {place}"] = _hash(path)
        except OSError:  # it is gone, or cannot be read any more: a difference, either way
            continue
    return hashes


def _files_below(folder: Path) -> Iterable[Path]:
    # The bench's own .git is git's: it is a worktree of the lab.
    for where, folders, files in os.walk(folder):
        if Path(where) == folder:
            folders[:] = [name for name in folders if name != ".git"]
            files = [name for name in files if name != ".git"]
        links = [name for name in folders if Path(where, name).is_symlink()]
        yield from (Path(where, name) for name in (*files, *links))


def _hash(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    if not path.is_file():  # a pipe would never end
        return f"mode {path.lstat().st_mode:o}"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
