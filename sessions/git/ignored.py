"""What lies in a checkout and git ignores: it is in no commit, so no worktree has it."""

from __future__ import annotations

from pathlib import Path

from sessions.git.command import ask_git

INCLUDE_FILE = (
    ".worktreeinclude"  # patterns of ignored files that worktrees are to have; other tools read it too
)


def ignored_paths(folder: Path) -> tuple[str, ...]:
    """What git ignores below `folder`, relative to it; a folder that is ignored whole is one entry, ending in /."""
    return _listed(folder, "--exclude-standard")


def included_paths(folder: Path) -> tuple[str, ...]:
    """Of these what the folder's `.worktreeinclude` names; none without such a file."""
    if not (folder / INCLUDE_FILE).is_file():
        return ()
    ignored = ignored_paths(folder)
    named = _listed(folder, f"--exclude-from={INCLUDE_FILE}")
    return tuple(path for path in named if any(_is_at_or_below(path, entry) for entry in ignored))


def _listed(folder: Path, patterns: str) -> tuple[str, ...]:
    options = ("--others", "--ignored", "--directory", "--no-empty-directory", "-z", patterns)
    return tuple(path for path in ask_git(folder, "ls-files", *options).split("\0") if path)


def _is_at_or_below(path: str, entry: str) -> bool:
    return path == entry or (entry.endswith("/") and path.startswith(entry))
