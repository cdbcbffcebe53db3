"""Where a campaign starts from, and where what it finds goes back to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Base:
    """A commit, and the branch that it was taken from; "" for a detached HEAD, and in labs of earlier versions."""

    branch: str = ""
    commit: str = ""

    @property
    def name(self) -> str:
        """What a person is told of the branch."""
        return self.branch or "the base branch"

    @property
    def place(self) -> str:
        """The branch with the commit, or the commit alone."""
        return f"{self.branch} at {self.commit[:7]}" if self.branch else f"commit {self.commit[:7]}"


UNKNOWN = Base()
