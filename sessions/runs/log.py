"""A run's output on its way to run.log: its beginning and its end, however long it is."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sessions.runs.redaction import Redactor

_KEPT_TAIL = 2**17  # fits into the room that is reserved for the outcome, whatever else fills the disk
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f]")


class RunLog:
    """Appends to a file up to `limit` bytes; past that, or on a full disk, only the tail is remembered."""

    def __init__(self, path: Path, limit: int, redactor: Redactor | None = None) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._room = limit
        self._dropped = 0
        self._tail = b""
        self._redactor = redactor or Redactor()

    def write(self, data: bytes) -> None:
        """Take some output in; never fails and never grows beyond its tail."""
        self._take(self._redactor.clean(data))

    def _take(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-_KEPT_TAIL:]
        # Once something is missing, what follows would read as if nothing were.
        written = 0 if self._dropped else self._append(data[: self._room])
        self._room -= written
        if written < len(data) and not self._dropped:
            self._append(
                b"\n===== the log is full: of what follows, the end is put here when it is over =====\n"
            )
        self._dropped += len(data) - written

    def start_part(self, title: str) -> None:
        """Begin another part of the log; `tail` then starts afresh."""
        self._take(self._redactor.rest() + f"\n===== {title} =====\n".encode())
        self._tail = b""

    def tail(self) -> str:
        """The last 128 KiB of this part."""
        self._take(self._redactor.rest())
        return self._tail.decode("utf-8", "replace")

    def close(self) -> None:
        """Put the end of the output behind a gap, if there is one, and close the file."""
        self._take(self._redactor.rest())
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
