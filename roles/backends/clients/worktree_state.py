"""What a client did to a worktree, seen from outside: every file before and after, and where HEAD was."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sessions.errors import GitError
from sessions.git.command import ask_git

_LARGEST = 32 * 2**20  # bytes of a file that are hashed; above, its size and time serve
_LEFT_OUT = {"__pycache__"}


@dataclass(frozen=True, slots=True)
class WorktreeState:
    """A worktree at one moment."""

    head: str
    files: dict[str, str]  # path to what it holds; the ignored ones too
    link: bytes  # `.git` of a linked worktree

    def changes_since(self, before: WorktreeState) -> tuple[str, ...]:
        """The paths that differ, sorted."""
        names = self.files.keys() | before.files.keys()
        return tuple(sorted(name for name in names if self.files.get(name) != before.files.get(name)))


def read_worktree(worktree: Path) -> WorktreeState:
    """As it is now."""
    try:
        head = ask_git(worktree, "rev-parse", "HEAD").strip()
    except GitError:
        head = ""
    link = worktree / ".git"
    return WorktreeState(head, dict(_files(worktree)), link.read_bytes() if link.is_file() else b"")


def restore_link(worktree: Path, before: WorktreeState) -> bool:
    """Put back where git finds the repository; True when it had been changed.

    Every git command of ours in that worktree would follow it, and take its hooks and filters from there.
    """
    link = worktree / ".git"
    if not before.link or (link.is_file() and not link.is_symlink() and link.read_bytes() == before.link):
        return False
    if link.is_dir() and not link.is_symlink():
        link.rename(worktree / ".git-of-a-client")
    else:
        link.unlink(missing_ok=True)
    link.write_bytes(before.link)
    return True


def _files(worktree: Path) -> Iterator[tuple[str, str]]:
    for folder, folders, names in os.walk(worktree):
        top = Path(folder) == worktree
        folders[:] = [name for name in folders if name not in _LEFT_OUT and not (top and name == ".git")]
        for name in names:
            path = Path(folder, name)
            if not (top and name == ".git"):
                yield path.relative_to(worktree).as_posix(), _content_of(path)


def _content_of(path: Path) -> str:
    try:
        if path.is_symlink():
            return f"-> {path.readlink()}"
        status = path.lstat()
        if status.st_size > _LARGEST or not path.is_file():
            return f"{status.st_mode} {status.st_size} {status.st_mtime_ns}"
        return f"{status.st_mode} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    except OSError as error:
        return f"unreadable {error.errno}"
