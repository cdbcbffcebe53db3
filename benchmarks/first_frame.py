"""How long from exec to the first frame: our screen against a bare Textual app, in turn, in one run.

`python -m benchmarks.first_frame [ROUNDS]` from the checkout. Each is started in a pseudo-terminal of 160×45;
the time ends when the text that its first frame shows has arrived there.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEADLINE_S = 30.0
COLUMNS, ROWS = 160, 45
_BARE = """
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static("first frame")
Bare().run()
"""
_OURS = """
from tests.tui.screen import snapshots
from tests.tui.screen.memory_client import MemoryClient
from tui.screen.app import run
run(MemoryClient(snapshots.mid()))
"""


@dataclass(frozen=True, slots=True)
class Contender:
    """A program, and the text that tells how far it is."""

    name: str
    program: str
    marker: bytes


CONTENDERS = (
    Contender("bare Textual app", _BARE, b"first frame"),
    Contender("our screen, its frame", _OURS, b"Agents"),
    Contender("our screen, with the lab in it", _OURS, b"junior-1"),
)


def seconds_to_marker(contender: Contender) -> float:
    """Start it, wait for its marker, end it. Raises RuntimeError when the marker does not come."""
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", contender.program],
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
    )
    os.close(secondary)
    try:
        return _seconds_until(primary, contender.marker, started)
    finally:
        process.kill()
        process.wait()
        os.close(primary)


def _seconds_until(descriptor: int, marker: bytes, started: float) -> float:
    seen = b""
    while time.perf_counter() - started < DEADLINE_S:
        ready, _, _ = select.select([descriptor], [], [], DEADLINE_S)
        if not ready:
            break
        try:
            seen += os.read(descriptor, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if marker in seen:
            return time.perf_counter() - started
    raise RuntimeError(f"{marker!r} never came; it printed {seen[-2000:]!r}")


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    times: dict[str, list[float]] = {one.name: [] for one in CONTENDERS}
    for number in range(rounds + 1):
        for contender in CONTENDERS:
            seconds = seconds_to_marker(contender)
            if number:  # the first round fills the file cache
                times[contender.name].append(seconds)
    bare = statistics.median(times[CONTENDERS[0].name])
    print(f"exec to first frame, {COLUMNS}×{ROWS}, median of {rounds}")
    print(f"{'':32}{'median':>9}{'fastest':>9}{'ratio':>8}")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:32}{median:>7.3f} s{min(values):>7.3f} s{median / bare:>8.2f}")


if __name__ == "__main__":
    main()
