"""A change carried over to another commit by three-way merge, without any work tree."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sessions.errors import GitError
from sessions.git.command import ask_git, run_git
from sessions.git.repository import Repository, Signature

_GONE = "000000"
_FILES = ("100644", "100755", _GONE)
_LABELS = ("main", "before", "change")
_BASE, _OURS, _THEIRS = "1", "2", "3"  # git's numbers for the sides of a merge
_OURS_MARK = "<<<<<<<"


@dataclass(frozen=True, slots=True)
class Conflict:
    """A place that both sides changed."""

    path: str
    line: int | None = None  # in `onto`'s version of the file; None: the whole file

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class MergeResult:
    """The tree of a merge, or why there is none."""

    tree: str
    conflicts: tuple[Conflict, ...] = ()


def merge_change(repository: Repository, onto: str, before: str, after: str) -> MergeResult:
    """The tree of `onto` with what differs between `before` and `after` applied; writes objects only.

    Raises GitError, also for a change of links or submodules, which is never merged.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _Merge(repository, Path(folder)).apply(onto, before, after)


def commit_tree(
    repository: Repository, tree: str, parent: str, message: str, who: Signature, *, signed: bool = False
) -> str:
    """Write a commit and return its hash; no ref moves. Signed, it is another one each time."""
    arguments = ("commit-tree", *(("-S",) if signed else ()), tree, "-p", parent, "-F", "-")
    return ask_git(repository.root, *arguments, env=who.environment, input_text=message).strip()


def signs_commits(repository: Repository) -> bool:
    """Whether the person has git sign their commits."""
    return run_git(repository.root, "config", "--type=bool", "commit.gpgSign").text.strip() == "true"


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
    def __init__(self, repository: Repository, folder: Path) -> None:
        self.repository, self.folder = repository, folder
        # An index of its own: the person's is never touched.
        self.index = {"GIT_INDEX_FILE": str(folder / "index")}

    def apply(self, onto: str, before: str, after: str) -> MergeResult:
        for change in self.repository.changed_paths(before, after):
            if change.old_mode not in _FILES or change.new_mode not in _FILES:
                raise GitError(["git", "merge"], f"fatal: {change.path} is a link or a submodule")
        self._ask("read-tree", "-i", "-m", "--aggressive", before, onto, after)
        # What both sides changed: by path, the mode and the blob of each side that has the file.
        unmerged: dict[str, dict[str, tuple[str, str]]] = {}
        for entry in filter(None, self._ask("ls-files", "--unmerged", "-z").split("\0")):
            head, _, path = entry.partition("\t")
            mode, blob, side = head.split()
            unmerged.setdefault(path, {})[side] = mode, blob
        conflicts = [
            conflict for path, sides in unmerged.items() for conflict in self._merge_file(path, sides)
        ]
        return MergeResult("" if conflicts else self._ask("write-tree").strip(), tuple(conflicts))

    def _merge_file(self, path: str, sides: Mapping[str, tuple[str, str]]) -> tuple[Conflict, ...]:
        if sides.keys() != {_BASE, _OURS, _THEIRS}:
            return (Conflict(path),)
        for side, (_, blob) in sides.items():
            content = run_git(self.repository.root, "cat-file", "blob", blob).output
            (self.folder / side).write_bytes(content)
        names = [str(self.folder / side) for side in (_OURS, _BASE, _THEIRS)]
        labels = [part for label in _LABELS for part in ("-L", label)]
        answer = run_git(self.repository.root, "merge-file", "-p", *labels, *names)
        if answer.status != 0:
            return tuple(Conflict(path, line) for line in _lines_of_ours(answer.text)) or (Conflict(path),)
        merged = self.folder / "merged"
        merged.write_bytes(answer.output)
        blob = self._ask("hash-object", "-w", "--no-filters", str(merged)).strip()
        self._ask("update-index", "--cacheinfo", f"{sides[_THEIRS][0]},{blob},{path}")
        return ()

    def _ask(self, *arguments: str) -> str:
        return ask_git(self.repository.root, *arguments, env=self.index)


def _lines_of_ours(text: str) -> list[int]:
    """Where each conflict begins in our version: the lines of markers and of the other side left out."""
    beginnings, line, ours = [], 1, True
    for entry in text.splitlines():
        if entry.startswith(f"{_OURS_MARK} {_LABELS[0]}"):
            beginnings.append(line)
        elif entry == "=======" and beginnings:
            ours = False
        elif entry.startswith(f">>>>>>> {_LABELS[2]}"):
            ours = True
        elif ours:
            line += 1
    return beginnings
