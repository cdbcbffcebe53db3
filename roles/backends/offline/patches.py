"""Unified diffs, applied and taken back: how the source of any experiment is rebuilt from any other."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FILE = re.compile(r"^\+\+\+ (?:b/)?([^\t\n]+)")
_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_NO_NEWLINE = "\\ No newline at end of file"


@dataclass(frozen=True, slots=True)
class Hunk:
    """One hunk: what stood there, from which line (1-based), and what stands there afterwards."""

    before: tuple[str, ...]
    before_line: int
    after: tuple[str, ...]
    after_line: int

    def reversed(self) -> Hunk:
        """The hunk that takes this one back."""
        return Hunk(self.after, self.after_line, self.before, self.before_line)


def read_patch(diff: str) -> dict[str, tuple[Hunk, ...]]:
    """The hunks of a unified diff by path; what is no hunk (a mode, a rename, a binary) is passed over."""
    files: dict[str, tuple[Hunk, ...]] = {}
    path = ""
    lines = diff.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if match := _FILE.match(line):
            path = match[1]
        elif path and (match := _HUNK.match(line)):
            hunk, at = _read_hunk(lines, at, match)
            files[path] = (*files.get(path, ()), hunk)
    return files


def _read_hunk(lines: list[str], at: int, header: re.Match[str]) -> tuple[Hunk, int]:
    before_left, after_left = int(header[2] or 1), int(header[4] or 1)
    before: list[str] = []
    after: list[str] = []
    while at < len(lines) and (before_left or after_left or lines[at] == _NO_NEWLINE):
        mark, body = lines[at][:1], lines[at][1:] + "\n"
        at += 1
        if mark == "\\":
            _drop_newline(before, after, lines[at - 2][:1])
            continue
        if mark in (" ", "-", ""):
            before.append(body)
            before_left -= 1
        if mark in (" ", "+", ""):
            after.append(body)
            after_left -= 1
    # A hunk that only adds (or only removes) names the line before it.
    before_line = int(header[1]) + (not before)
    after_line = int(header[3]) + (not after)
    return Hunk(tuple(before), before_line, tuple(after), after_line), at


def _drop_newline(before: list[str], after: list[str], mark: str) -> None:
    if mark in (" ", "-") and before:
        before[-1] = before[-1].rstrip("\n")
    if mark in (" ", "+") and after:
        after[-1] = after[-1].rstrip("\n")


def apply_hunks(text: str, hunks: tuple[Hunk, ...], *, take_back: bool = False) -> str | None:
    """`text` after those hunks (or before them), or None when it is not the text that they belong to."""
    lines = re.findall(r"[^\n]*\n|[^\n]+$", text)
    for hunk in reversed([hunk.reversed() if take_back else hunk for hunk in hunks]):
        start = hunk.before_line - 1
        if tuple(lines[start : start + len(hunk.before)]) != hunk.before:
            return None
        lines[start : start + len(hunk.before)] = hunk.after
    return "".join(lines)
