"""What was asked and answered in one step, kept as JSON lines for a person to read; never a key or a header."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

KEPT = 300  # transcripts of one agent


class TranscriptFile:
    """One step's file."""

    def __init__(self, folder: Path, kind: str, secret: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in sorted(folder.glob("*.jsonl"))[: -KEPT + 1]:
            old.unlink(missing_ok=True)
        seconds, rest = divmod(time.time_ns(), 1_000_000_000)  # one instant: their names sort by it
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(seconds))
        self.path = folder / f"{stamp}-{rest:09d}-{kind}.jsonl"
        self._secret = secret

    def add(self, what: str, content: Any) -> None:
        """One entry."""
        entry = json.dumps({"at": round(time.time(), 3), what: content}, ensure_ascii=False, default=str)
        with self.path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(redacted(entry, self._secret) + "\n")


def redacted(text: str, secret: str) -> str:
    """The text without the secret, should it stand there."""
    return text.replace(secret, "[key]") if secret else text
