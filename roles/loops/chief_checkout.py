"""Where the chief reads: the champion's code in a read-only checkout of its own, and proof that it stayed as it was."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sessions.errors import GitError
from sessions.git.repository import Repository
from sessions.git.worktrees import Worktrees
from supervisor.lab.paths import Lab

# What agents and the supervisor move while the chief thinks.
_OTHERS = ("refs/autoresearch/", "refs/heads/autoresearch/", "refs/notes/")
_READ_ONLY = ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The state of the checkout at one moment."""

    head: str
    status: str
    files: dict[str, tuple[int, ...]]
    refs: dict[str, str]


@dataclass(frozen=True, slots=True)
class ChiefCheckout:
    """One chief's checkout."""

    repository: Repository
    worktrees: Worktrees
    path: Path

    @classmethod
    def of(cls, lab: Lab, repository: Repository, name: str) -> ChiefCheckout:
        """The checkout of the chief of that name."""
        return cls(repository, Worktrees(repository, lab.worktree_lock), lab.worktrees_dir / name)

    def open(self, commit: str) -> Fingerprint:
        """Have exactly this commit there, without leave to write; returns its fingerprint. Raises WorktreeError."""
        if self.path.is_dir() and not self.path.is_symlink():
            _set_writable(self.path, writable=True)
        self.worktrees.reset(self.path, commit)
        _set_writable(self.path, writable=False)
        return self.fingerprint()

    def fingerprint(self) -> Fingerprint:
        """What must not change: HEAD, git's status, every file's place, size, times and mode, the person's refs."""
        refs = self.repository.refs("refs/")
        try:
            head = Repository(self.path).rev_parse("HEAD")
            status = self.repository.status_porcelain(self.path)
        except (GitError, OSError) as error:
            head, status = "", str(error)
        own = {ref: sha for ref, sha in refs.items() if not ref.startswith(_OTHERS)}
        return Fingerprint(head, status, dict(_files(self.path)), own)

    def changes_since(self, before: Fingerprint) -> tuple[str, ...]:
        """What changed here since then, by path; nothing of what the others do counts."""
        now = self.fingerprint()
        changes = [
            path for path in sorted(before.files | now.files) if before.files.get(path) != now.files.get(path)
        ]
        if now.head != before.head:
            changes.append("HEAD")
        if not changes and now.status != before.status:
            changes.append("the index")
        return tuple(changes)

    def moved_refs(self, before: Fingerprint) -> tuple[str, ...]:
        """Refs that neither agents nor the supervisor move, and that moved: by the person, or by a chief."""
        now = self.fingerprint().refs
        return tuple(ref for ref in sorted(before.refs | now) if before.refs.get(ref) != now.get(ref))


def _files(folder: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(parent) / name
            try:
                status = path.lstat()
            except OSError:
                continue  # gone since: that shows by itself
            # The change time can't be set back: content that was put back still shows.
            is_folder = stat.S_ISDIR(status.st_mode)
            content = (0,) if is_folder else (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            yield str(path.relative_to(folder)), (status.st_mode, *content)


def _set_writable(folder: Path, *, writable: bool) -> None:
    for parent, _, names in os.walk(folder, topdown=writable):
        for path in (Path(parent), *(Path(parent) / name for name in names)):
            if not path.is_symlink():
                mode = stat.S_IMODE(path.stat().st_mode)
                path.chmod(mode | stat.S_IWUSR if writable else mode & _READ_ONLY)
