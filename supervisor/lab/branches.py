"""The commit that a campaign starts from, and the branch that promotions go to."""

from __future__ import annotations

from sessions.errors import GitError
from sessions.git.repository import Repository
from supervisor.errors import LabError, LaunchError
from supervisor.model.base import Base

MAIN_BRANCHES = ("main", "master")


def base_at(repository: Repository, revision: str | None = None) -> Base:
    """What is checked out, or the commit that `revision` names. Raises LaunchError when there is none."""
    branch = repository.current_branch() or ""
    if revision is None:
        if not repository.exists("HEAD"):
            raise LaunchError("the repository has no commit yet; `git commit` the lab's files first")
        return Base(branch, repository.rev_parse("HEAD"))
    try:
        commit = repository.rev_parse(revision)
    except GitError as error:
        raise LaunchError(
            f"--base {revision}: git knows no such commit; `git log --oneline --all` lists them"
        ) from error
    if repository.exists(f"refs/heads/{revision}"):
        return Base(revision, commit)
    is_behind = bool(branch) and repository.is_ancestor(commit, "HEAD")
    return Base(branch if is_behind else "", commit)


def home_of(repository: Repository, base: Base) -> tuple[str, str]:
    """The branch that a campaign from `base` goes back to, and where it stands now. Raises LabError."""
    if base.branch:
        if not repository.exists(f"refs/heads/{base.branch}"):
            raise LabError(
                f"the branch {base.branch}, where this run came from, is gone; "
                f"`git branch {base.branch} {base.commit[:10]}` makes it again"
            )
        return base.branch, repository.rev_parse(f"refs/heads/{base.branch}")
    holders = repository.branches_with(base.commit)
    usual = (*MAIN_BRANCHES, repository.current_branch(), *holders)
    branch = next((name for name in usual if name in holders), None)
    if branch is None:
        commit = base.commit[:10]
        raise LabError(
            f"no branch holds {commit}, where this run started; `git branch NAME {commit}` makes one"
        )
    return branch, holders[branch]
