"""A change carried over to another commit by three-way merge, without any work tree."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sessions.errors import GitError
from sessions.git.command import ask_git, run_git
from sessions.git.repository import Repository

_GONE = "000000"
_FILES = ("100644", "100755", _GONE)
_LABELS = ("main", "before", "change")
_OURS_MARK = "<<<<<<<"


@dataclass(frozen=True, slots=True)
class Conflict:
    """A place that both sides changed."""

    path: str
    line: int | None = None  # in `onto`'s version of the file; None: the whole file

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Merged:
    """The tree of a merge, or why there is none."""

    tree: str
    conflicts: tuple[Conflict, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """Who made a commit, and when: the same signature, tree and message give the same commit."""

    name: str
    mail: str
    at: int  # epoch seconds

    @property
    def environment(self) -> dict[str, str]:
        """What git reads it from."""
        people: dict[str, str] = {}
        for who in ("AUTHOR", "COMMITTER"):
            people |= {f"GIT_{who}_NAME": self.name, f"GIT_{who}_EMAIL": self.mail}
            people[f"GIT_{who}_DATE"] = f"{self.at} +0000"
        return people


def merge_change(repository: Repository, onto: str, before: str, after: str) -> Merged:
    """The tree of `onto` with what differs between `before` and `after` applied; writes objects only.

    Raises GitError, also for a change of links or submodules, which is never merged.
    """
    with tempfile.TemporaryDirectory() as folder:
        merge = _Merge(repository, onto, before, Path(folder))
        return merge.apply(after)


def commit_tree(repository: Repository, tree: str, parent: str, message: str, who: Signature) -> str:
    """Write a commit and return its hash; no ref moves."""
    arguments = ("commit-tree", tree, "-p", parent, "-F", "-")
    return ask_git(repository.root, *arguments, env=who.environment, input_text=message).strip()


def tree_of(repository: Repository, commit: str) -> str:
    """The hash of a commit's tree."""
    return repository.ask("rev-parse", "--verify", f"{commit}^{{tree}}").strip()


def person_identity(repository: Repository) -> tuple[str, str]:
    """The name and mail that git would sign the person's commits with. Raises GitError when it knows none."""
    answer = run_git(repository.root, "-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT")
    if answer.status != 0:
        line = 'git config user.name "…"; git config user.email "…"'
        raise GitError(
            ["git", "var", "GIT_AUTHOR_IDENT"], f"fatal: git does not know who you are; say: {line}"
        )
    name, _, rest = answer.text.strip().partition(" <")
    return name, rest.partition(">")[0]


class _Merge:
    def __init__(self, repository: Repository, onto: str, before: str, folder: Path) -> None:
        self.repository, self.onto, self.before, self.folder = repository, onto, before, folder
        # An index of its own: the person's is never touched.
        self.index: Mapping[str, str] = {"GIT_INDEX_FILE": str(folder / "index")}

    def apply(self, after: str) -> Merged:
        self._ask("read-tree", self.onto)
        conflicts: list[Conflict] = []
        for change in self.repository.changed_paths(self.before, after):
            if change.old_mode not in _FILES or change.new_mode not in _FILES:
                raise GitError(["git", "merge"], f"fatal: {change.path} is a link or a submodule")
            ours, base = self._blob(self.onto, change.path), self._blob(self.before, change.path)
            theirs = self._blob(after, change.path)
            if ours == base:
                self._set(change.path, change.new_mode, theirs)
            elif ours != theirs:
                conflicts += self._merge_file(change.path, change.new_mode, ours, base, theirs)
        return Merged(self._ask("write-tree").strip(), tuple(conflicts))

    def _merge_file(
        self, path: str, mode: str, ours: str | None, base: str | None, theirs: str | None
    ) -> tuple[Conflict, ...]:
        if ours is None or base is None or theirs is None:
            return (Conflict(path),)
        names = []
        for label, blob in zip(_LABELS, (ours, base, theirs), strict=True):
            file = self.folder / label
            file.write_bytes(run_git(self.repository.root, "cat-file", "blob", blob).output)
            names.append(str(file))
        labels = [part for label in _LABELS for part in ("-L", label)]
        answer = run_git(self.repository.root, "merge-file", "-p", *labels, *names)
        if answer.status == 0:
            merged = self.folder / "merged"
            merged.write_bytes(answer.output)
            self._set(path, mode, self._ask("hash-object", "-w", "--no-filters", str(merged)).strip())
            return ()
        return tuple(Conflict(path, line) for line in _lines_of_ours(answer.text)) or (Conflict(path),)

    def _set(self, path: str, mode: str, blob: str | None) -> None:
        if blob is None:
            self._ask("update-index", "--force-remove", "--", path)
        else:
            self._ask("update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}")

    def _blob(self, commit: str, path: str) -> str | None:
        entry = self.repository.ask("ls-tree", "-z", "--full-tree", commit, "--", f":(literal){path}")
        return entry.split("\t")[0].split()[2] if entry else None

    def _ask(self, *arguments: str) -> str:
        return ask_git(self.repository.root, *arguments, env=self.index)


def _lines_of_ours(text: str) -> list[int]:
    """Where each conflict begins in our version: the lines of markers and of the other side left out."""
    found, line, ours = [], 1, True
    for entry in text.splitlines():
        if entry.startswith(f"{_OURS_MARK} {_LABELS[0]}"):
            found.append(line)
        elif entry == "=======" and found:
            ours = False
        elif entry.startswith(f">>>>>>> {_LABELS[2]}"):
            ours = True
        elif ours:
            line += 1
    return found
