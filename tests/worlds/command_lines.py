"""What a command line left behind, for the tests of commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Result:
    """Exit code and output of one command."""

    code: int
    out: str
    err: str

    @property
    def table(self) -> list[dict[str, str]]:
        """Tab-separated output, one dictionary per row."""
        head, *rows = (line.split("\t") for line in self.out.splitlines())
        return [dict(zip(head, row, strict=True)) for row in rows]


class Run(Protocol):
    """Runs `autoresearch-tui` with these words, from inside the lab."""

    def __call__(self, *words: str) -> Result:
        """The words as a shell would pass them."""
