"""The branch that campaigns start from and promotions go to."""

from __future__ import annotations

from sessions.git.fast_forward import branch_among
from sessions.git.repository import Repository
from supervisor.errors import LabError, LaunchError

MAIN_BRANCHES = ("main", "master")


def main_of(repository: Repository) -> tuple[str, str]:
    """The main branch and its commit. Raises LabError where there is none."""
    branch = branch_among(repository, MAIN_BRANCHES)
    if branch is None:
        names = " or ".join(MAIN_BRANCHES)
        raise LabError(f"there is no branch {names} to promote to; `git branch main` makes one")
    return branch, repository.rev_parse(f"refs/heads/{branch}")


def base_of(repository: Repository) -> tuple[str, str]:
    """The branch and the commit that a campaign starts from: main's, else "" and what is checked out.

    Raises LaunchError for a repository without a commit.
    """
    branch = branch_among(repository, MAIN_BRANCHES)
    if branch is None and not repository.exists("HEAD"):
        raise LaunchError("the repository has no commit yet; `git commit` the lab's files first")
    return branch or "", repository.rev_parse(f"refs/heads/{branch}" if branch else "HEAD")
