"""Which files a model may read, and which it may change: inside its worktree, and never its git folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MOST_FILES = 20_000  # of a worktree that are looked at
_GIT = ".git"
_PASSED_OVER = frozenset({_GIT, ".autoresearch", "__pycache__", ".venv", "node_modules"})


class ToolError(Exception):
    """A tool can't do that; the text is one line for the model."""


@dataclass(frozen=True, slots=True)
class WorktreeFiles:
    """A worktree as a model may use it."""

    root: Path
    may_change: Callable[[str], bool]  # by relative path, with /

    def to_read(self, path: str) -> Path:
        """An existing file. Raises ToolError for one that is elsewhere, or none."""
        target = self._inside(path)
        if not target.is_file():
            raise ToolError(
                f"{path}: there is no such file" if not target.exists() else f"{path}: not a file"
            )
        return target

    def to_change(self, path: str) -> tuple[str, Path]:
        """A file that may be written, and its relative path. Raises ToolError for any other."""
        target, relative = self._inside(path), self._relative(path)
        if not self.may_change(relative.as_posix()):
            raise ToolError(f"{path}: may not be changed; the brief says which files may")
        if target != self._root() / relative:
            raise ToolError(f"{path}: is a link, or lies behind one")
        if target.exists() and not target.is_file():
            raise ToolError(f"{path}: not a file")
        return relative.as_posix(), target

    def paths(self, below: str = "") -> Iterator[str]:
        """Relative paths of the files in a folder, in order; links and what is no source are left out."""
        root = self._root()
        start = self._inside(below) if below not in ("", ".", "./") else root
        if start.is_file():
            yield start.relative_to(root).as_posix()
            return
        count = 0
        for folder, folders, names in os.walk(start):
            folders[:] = sorted(name for name in folders if name.casefold() not in _PASSED_OVER)
            for name in sorted(names):
                file = Path(folder) / name
                count += 1
                if count > MOST_FILES:
                    return
                if name.casefold() != _GIT and file.is_file() and not file.is_symlink():
                    yield file.relative_to(root).as_posix()

    def _root(self) -> Path:
        return self.root.resolve()

    def _inside(self, path: str) -> Path:
        try:
            target = (self._root() / self._relative(path)).resolve()
        except (OSError, RuntimeError, ValueError):
            raise ToolError(f"{path!r}: not a path that can be followed") from None
        if not target.is_relative_to(self._root()):
            raise ToolError(f"{path}: leads out of the worktree")
        if _is_of_git(target.relative_to(self._root())):
            raise ToolError(f"{path}: git's own files are out of reach")
        return target

    def _relative(self, path: str) -> Path:
        relative = Path(path)
        for root in (self.root, self._root()):
            if relative.is_absolute() and relative.is_relative_to(root):
                relative = relative.relative_to(root)
        if relative.is_absolute() or ".." in relative.parts or not relative.parts:
            raise ToolError(f"{path or 'an empty path'}: not inside the worktree; give a path relative to it")
        return relative


def _is_of_git(path: Path) -> bool:
    return any(part.casefold() == _GIT for part in PurePosixPath(path.as_posix()).parts)
