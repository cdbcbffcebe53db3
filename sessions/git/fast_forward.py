"""Advancing the person's branch: through their own checkout where it is checked out, never underneath it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sessions.errors import GitError
from sessions.git.command import run_git
from sessions.git.repository import Repository


class Landing(StrEnum):
    """What became of a commit that was to go on a branch."""

    LANDED = "landed"
    MOVED = "moved"  # the branch is no longer where it was
    REFUSED = "refused"  # git would not touch the checkout


@dataclass(frozen=True, slots=True)
class Landed:
    """The end of one attempt."""

    landing: Landing
    reason: str = ""


def branch_among(repository: Repository, names: Sequence[str]) -> str | None:
    """The first of these branches that exists."""
    return next((name for name in names if repository.exists(f"refs/heads/{name}")), None)


def advance_branch(repository: Repository, branch: str, commit: str, expected: str) -> Landed:
    """Move `branch` from `expected` to its child `commit`; done twice it is done once. Raises GitError.

    A checkout of the branch is advanced by `git merge --ff-only`, which keeps whatever is not committed there.
    """
    ref = f"refs/heads/{branch}"
    now = repository.rev_parse(ref)
    if repository.is_ancestor(commit, now):
        return Landed(Landing.LANDED)
    if now != expected:
        return Landed(Landing.MOVED, f"{branch} is at {now[:7]} now")
    checkout = repository.checked_out_at(ref)
    if checkout is not None:
        answer = run_git(
            checkout,
            "-c",
            "merge.verifySignatures=false",
            "merge",
            "--ff-only",
            "--no-autostash",
            "--quiet",
            commit,
        )
        if answer.status == 0:
            return Landed(Landing.LANDED)
        return Landed(Landing.REFUSED, _reason(answer.words))
    if branch in _held_branches(repository):
        return Landed(Landing.REFUSED, f"a rebase or bisect of {branch} is under way")
    try:
        repository.set_ref(ref, commit, expected)
    except GitError:
        if repository.rev_parse(ref) == expected:
            raise
        return Landed(Landing.MOVED, f"{branch} has moved")
    return Landed(Landing.LANDED)


def _held_branches(repository: Repository) -> frozenset[str]:
    # In the middle of a rebase HEAD is detached, yet the branch is to be written at its end.
    found = set()
    for folder in _administrations(repository):
        for name in ("rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START"):
            file = folder / name
            if file.is_file():
                found.add(
                    file.read_text(encoding="utf-8", errors="replace").strip().removeprefix("refs/heads/")
                )
    return frozenset(found)


def _administrations(repository: Repository) -> Iterator[Path]:
    yield repository.git_dir
    worktrees = repository.git_dir / "worktrees"
    if worktrees.is_dir():
        yield from worktrees.iterdir()


def _reason(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith(("error:", "fatal:"))), lines[-1] if lines else "")
    files = [
        line.strip() for line in words.splitlines() if line.startswith("\t")
    ]  # git lists them below its reason
    first = told.removeprefix("error: ").removeprefix("fatal: ").rstrip(":")
    return f"{first}: {', '.join(files)}" if files else first or "git merge failed without a word"
