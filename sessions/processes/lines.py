"""Output cut into lines as it comes, however much comes without an end of line."""

from __future__ import annotations

import re


class Lines:
    """Bytes in, whole lines out; of one longer than `longest` comes a beginning that is too long, so that it shows."""

    def __init__(self, longest: int, ends: bytes = b"\n") -> None:
        """`ends`: the bytes that end a line, each by itself."""
        self.pending = b""  # the line that has not ended
        self._longest = longest
        self._ends = re.compile(b"[" + ends + b"]")

    def take(self, chunk: bytes) -> list[bytes]:
        """The lines that this piece ends."""
        *lines, rest = self._ends.split(chunk)
        if lines:
            lines[0] = self.pending + lines[0]
            self.pending = b""
        room = self._longest + 1 - len(self.pending)
        self.pending += rest[:room]
        return lines
