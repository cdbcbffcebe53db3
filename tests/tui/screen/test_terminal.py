"""The screen in a real terminal: attaching hands it over and takes it back, quitting leaves it clean."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DEADLINE_S = 30.0
POLL_S = 0.02
PROGRAM = """
import subprocess
from supervisor.errors import LabError
from tests.tui.screen import snapshots
from tests.tui.screen.memory_client import MemoryClient
from tui.screen.app import run
class Client(MemoryClient):
    def attach(self, agent):
        subprocess.run(["sh", "-c", f"echo; echo inside {agent}; read answer"], check=True)
    def add_hypothesis(self, title):
        raise LabError(f"heard: {title}.")
run(Client(snapshots.mid(), attach_takes_terminal=True))
"""

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")


class Terminal:
    """A tmux pane on a server of its own."""

    def __init__(self, socket: Path) -> None:
        self._tmux = ("tmux", "-S", str(socket), "-f", "/dev/null")

    def tmux(self, *arguments: str) -> str:
        """Run a tmux command; returns what it prints."""
        return subprocess.run([*self._tmux, *arguments], check=True, capture_output=True, text=True).stdout

    def shows(self, text: str) -> None:
        """Wait until the text is in the pane."""
        until = time.monotonic() + DEADLINE_S
        while text not in (shown := self.tmux("capture-pane", "-p")):
            assert time.monotonic() < until, f"{text!r} never came:\n{shown}"
            time.sleep(POLL_S)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    one = Terminal(tmp_path / "tmux")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    one.tmux("new-session", "-d", "-x", "100", "-y", "30", "env", f"PYTHONPATH={ROOT}", "sh")
    one.tmux("send-keys", f"{sys.executable} {program}; echo status $?", "Enter")
    try:
        yield one
    finally:
        one.tmux("kill-server")


def test_attach_hands_the_terminal_over_and_back_and_quit_leaves_it_clean(terminal: Terminal) -> None:
    for _ in range(3):
        terminal.shows("● junior-1")
        terminal.tmux("send-keys", "Enter")
        terminal.shows("inside chief")
        terminal.tmux("send-keys", "Enter")
        terminal.shows("╭─ Agents")
    terminal.tmux("send-keys", "q")
    terminal.shows("The lab goes on.")
    terminal.shows("status 0")
    terminal.tmux("send-keys", "echo $((6 * 7))", "Enter")
    terminal.shows("42")


def test_a_line_typed_and_sent_in_one_write_arrives_whole(terminal: Terminal) -> None:
    terminal.shows("● junior-1")
    terminal.tmux("send-keys", "h")
    terminal.shows("A hypothesis of yours")
    terminal.tmux("send-keys", "RATE = 3.0 and half", "Enter")
    terminal.shows("heard: RATE = 3.0 and half.")
