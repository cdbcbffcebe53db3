"""A run's output on its way to run.log: capped, with its end always kept, and read for a reason."""

from __future__ import annotations

import os
import re
from pathlib import Path

_KEPT_TAIL = 65536
_LONGEST_REASON = 300
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f]")
_FRAME = re.compile(r'^\s+File "(?P<file>[^"]+)", line (?P<line>\d+)')
_EXCEPTION = re.compile(r"^(?P<name>[A-Za-z_][\w.]*)(?:: .*|)$")
_TRACEBACK = "Traceback (most recent call last):"


class RunLog:
    """Appends to a file up to `limit` bytes; past that, or on a full disk, only the tail is remembered."""

    def __init__(self, path: Path, limit: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._room = limit
        self._dropped = 0
        self._tail = b""

    def write(self, data: bytes) -> None:
        """Take some output in; never fails and never grows beyond its tail."""
        self._tail = (self._tail + data)[-_KEPT_TAIL:]
        if self._dropped == 0 and len(data) <= self._room:
            written = self._append(data)
            self._room -= written
            self._dropped += len(data) - written
        else:
            # Once something is missing, what follows would read as if nothing were.
            self._dropped += len(data)

    def start_part(self, title: str) -> None:
        """Begin another part of the log; `tail` then starts afresh."""
        self.write(f"\n===== {title} =====\n".encode())
        self._tail = b""

    def tail(self) -> str:
        """The last 64 KiB of this part."""
        return self._tail.decode("utf-8", "replace")

    def close(self) -> None:
        """Put the end of the output behind a gap, if there is one, and close the file."""
        if self._dropped:
            left_out = max(0, self._dropped - len(self._tail))
            self._append(f"\n===== {left_out} bytes left out; the end was =====\n".encode() + self._tail)
        os.close(self._file)

    def _append(self, data: bytes) -> int:
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:  # a full disk must not take the run with it
            pass
        return written


def without_escapes(text: str) -> str:
    """The text without colours and other words to a terminal."""
    return _ESCAPES.sub("", text)


def failure_reason(text: str) -> str:
    """The one line of a program's output that says why it failed; "" when it said nothing.

    The exception of the last traceback with the place in the program's own files, else the last line.
    """
    lines = [line.rstrip() for line in without_escapes(text.replace("\r", "\n")).splitlines()]
    frames = [index for index, line in enumerate(lines) if _FRAME.match(line)]
    if frames:
        last = frames[-1]
        for line in lines[last + 1 :]:
            if line and not line[0].isspace() and _EXCEPTION.match(line):
                return _shortened(line, _place(lines[: last + 1]))
    words = [line.strip() for line in lines if line.strip()]
    return _shortened(words[-1], "") if words else ""


def _place(lines: list[str]) -> str:
    """Where in the program's own files the last traceback passes, as "train.py:12"."""
    start = max((i for i, line in enumerate(lines) if line.strip() == _TRACEBACK), default=0)
    frames = [match for line in lines[start:] if (match := _FRAME.match(line))]
    own = [
        frame
        for frame in frames
        if "site-packages" not in frame["file"] and "/lib/python" not in frame["file"]
    ]
    frame = (own or frames)[-1]
    return f"{Path(frame['file']).name}:{frame['line']}"


def _shortened(line: str, place: str) -> str:
    behind = f" ({place})" if place else ""
    line = " ".join(line.split())
    room = _LONGEST_REASON - len(behind)
    return (line if len(line) <= room else line[: room - 1] + "…") + behind
