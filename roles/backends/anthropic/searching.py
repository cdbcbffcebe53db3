"""Search files for a regular expression, in a process of its own: one that never ends can be ended.

Run as a script: the request as JSON on stdin, matching lines on stdout. It imports nothing of ours.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

TIMEOUT_S = 10.0
MOST_LINES = 200
LONGEST_LINE = 300
LARGEST_BYTES = 1_000_000


class SearchError(Exception):
    """One line."""


def search(root: Path, files: list[str], pattern: str) -> list[str]:
    """Lines as `path:number: text`, the first of them. Raises SearchError."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise SearchError(f"not a regular expression: {error}") from None
    request = json.dumps({"root": str(root), "files": files, "pattern": pattern})
    command = [sys.executable, "-I", "-S", __file__]
    try:
        done = subprocess.run(
            command, input=request, capture_output=True, encoding="utf-8", timeout=TIMEOUT_S, env={}, check=False
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise SearchError(f"took longer than {TIMEOUT_S:.0f} s; use a simpler pattern") from None
    if done.returncode:
        raise SearchError("the search failed; use a simpler pattern")
    lines: list[str] = json.loads(done.stdout)
    return lines


def _main() -> None:
    request = json.load(sys.stdin)
    pattern, matches = re.compile(request["pattern"]), []
    for path in request["files"]:
        file = Path(request["root"], path)
        try:
            text = file.read_bytes() if file.stat().st_size <= LARGEST_BYTES else b"\0"
        except OSError:
            continue
        if b"\0" in text:
            continue
        for number, line in enumerate(text.decode(errors="replace").splitlines(), 1):
            if pattern.search(line):
                matches.append(f"{path}:{number}: {line.strip()[:LONGEST_LINE]}")
                if len(matches) > MOST_LINES:
                    break
        if len(matches) > MOST_LINES:
            break
    json.dump(matches, sys.stdout)


if __name__ == "__main__":
    _main()
