"""Advancing the person's branch: through their own checkout where it is checked out, never underneath it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sessions.errors import GitError
from sessions.git.command import run_git
from sessions.git.repository import Repository


class Landing(StrEnum):
    """What became of a commit that was to go on a branch."""

    LANDED = "landed"
    MOVED = "moved"  # the branch is no longer where it was
    REFUSED = "refused"  # git would not touch the checkout


@dataclass(frozen=True, slots=True)
class LandingResult:
    """The end of one attempt."""

    landing: Landing
    reason: str = ""


def advance_branch(repository: Repository, branch: str, commit: str, expected: str) -> LandingResult:
    """Move `branch` from `expected` to its child `commit`; done twice it is done once. Raises GitError.

    A checkout of the branch is advanced by `git merge --ff-only`, which keeps whatever is not committed there.
    """
    ref = f"refs/heads/{branch}"
    now = repository.rev_parse(ref)
    if repository.is_ancestor(commit, now):
        return LandingResult(Landing.LANDED)
    if now != expected:
        return LandingResult(Landing.MOVED, f"{branch} is at {now[:7]} now")
    checkout = repository.checked_out_at(ref)
    if checkout is not None:
        settings = ("-c", "merge.verifySignatures=false")
        answer = run_git(checkout, *settings, "merge", "--ff-only", "--no-autostash", "--quiet", commit)
        if answer.status == 0:
            return LandingResult(Landing.LANDED)
        return LandingResult(Landing.REFUSED, _reason(answer.words))
    if branch in _held_branches(repository):
        return LandingResult(Landing.REFUSED, f"a rebase or bisect of {branch} is under way")
    try:
        repository.set_ref(ref, commit, expected)
    except GitError:
        if repository.rev_parse(ref) == expected:
            raise
        return LandingResult(Landing.MOVED, f"{branch} has moved")
    return LandingResult(Landing.LANDED)


def _held_branches(repository: Repository) -> frozenset[str]:
    # In the middle of a rebase HEAD is detached, yet the branch is to be written at its end.
    names = ("rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START")
    folders = (repository.git_dir, *repository.git_dir.glob("worktrees/*"))
    files = [folder / name for folder in folders for name in names if (folder / name).is_file()]
    heads = (file.read_text(encoding="utf-8", errors="replace").strip() for file in files)
    return frozenset(head.removeprefix("refs/heads/") for head in heads)


def _reason(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    reasons = [line for line in lines if line.startswith(("error:", "fatal:"))] or lines[-1:]
    # git lists the files that are in its way below its reason.
    files = [line.strip() for line in words.splitlines() if line.startswith("\t")]
    reason = "".join(reasons[:1]).removeprefix("error: ").removeprefix("fatal: ").rstrip(":")
    return f"{reason}: {', '.join(files)}" if files else reason or "git merge failed without a word"
