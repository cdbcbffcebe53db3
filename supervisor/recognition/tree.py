"""A repository's tracked files, as the recognisers look at them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from supervisor.text import matches_glob

_MOST_BYTES = 2**18  # of one file; what recognises a lab is said early, or in a short file


@dataclass(frozen=True, slots=True)
class MatchedLine:
    """A match and its place."""

    path: str
    line: int  # from 1
    match: re.Match[str]

    @property
    def where(self) -> str:
        """As `train.py:64`."""
        return f"{self.path}:{self.line}"


class Tree:
    """Tracked files by path, read when they are asked for: from the work tree, or by `read`."""

    def __init__(
        self, root: Path, files: Iterable[str], read: Callable[[str], bytes | None] | None = None
    ) -> None:
        self.root = root
        self._read = read or self._from_disk
        self.files = tuple(sorted(files))
        self._known = frozenset(self.files)
        self._texts: dict[str, str] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._known

    def text(self, path: str) -> str:
        """The file's text; "" where it is not tracked, not there, not text, or leads out of the repository."""
        if path not in self._texts:
            data = (self._read(path) if path in self else None) or b""
            self._texts[path] = "" if b"\0" in data else data[:_MOST_BYTES].decode("utf-8", "replace")
        return self._texts[path]

    def first(self, paths: Iterable[str]) -> str | None:
        """The first of these paths that is tracked."""
        return next((path for path in paths if path in self), None)

    def matching(self, glob: str) -> tuple[str, ...]:
        """The files that a glob names; * stops at /."""
        return tuple(path for path in self.files if matches_glob(path, glob))

    def below(self, folder: str) -> tuple[str, ...]:
        """The files in a folder, at any depth."""
        return tuple(path for path in self.files if path.startswith(f"{folder.rstrip('/')}/"))

    def find(self, path: str, pattern: str) -> MatchedLine | None:
        """The first line of the file in which the pattern is found."""
        return next(self.find_all(path, pattern), None)

    def find_all(self, path: str, pattern: str) -> Iterator[MatchedLine]:
        """Every line of the file in which the pattern is found, in order."""
        compiled = re.compile(pattern)
        for number, line in enumerate(self.text(path).splitlines(), 1):
            if match := compiled.search(line):
                yield MatchedLine(path, number, match)

    def _from_disk(self, path: str) -> bytes | None:
        file = self.root / path
        try:
            if not file.resolve().is_relative_to(self.root.resolve()) or not file.is_file():
                return None
            with file.open("rb") as stream:
                return stream.read(_MOST_BYTES)
        except OSError:
            return None
