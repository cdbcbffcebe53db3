"""The screen is only a window on the lab: opened, left and killed in a real terminal, with the lab at work."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.worlds.labs import TOY_CANVAS, make_toy_lab
from tests.worlds.live import CLI, LiveLab, live

pytestmark = pytest.mark.timeout(300)
SLOW_CANVAS = TOY_CANVAS.replace("SECONDS = 0.5", "SECONDS = 6.0")
PATIENCE_S = 60.0


class Terminal:
    """A person's own terminal: a tmux server that has nothing to do with the lab's."""

    def __init__(self, socket: str, lab: Path, size: tuple[int, int]) -> None:
        self._socket = socket
        command = f"cd '{lab}' && {CLI}; echo left with $?; exec cat"
        columns, rows = (str(number) for number in size)
        self._tmux("new-session", "-d", "-x", columns, "-y", rows, "-s", "person", command)

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._socket, "-f", "/dev/null", *words],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    def text(self) -> str:
        return self._tmux("capture-pane", "-p", "-t", "person")

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", "-t", "person", *keys)

    def wait_for(self, *words: str) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            text = self.text()
            if all(word in text for word in words):
                return text
            time.sleep(0.1)
        raise AssertionError(f"never saw {words} on:\n{text}")

    def close(self) -> None:
        self._tmux("kill-server")


@contextmanager
def terminal(lab: LiveLab, size: tuple[int, int] = (160, 45)) -> Iterator[Terminal]:
    person = Terminal(f"person-{os.getpid()}-{size[0]}", lab.lab.root, size)
    try:
        yield person
    finally:
        person.close()


def test_the_screen_is_left_and_killed_and_the_lab_never_notices(tmp_path: Path) -> None:
    lab = make_toy_lab(tmp_path / "lab", SLOW_CANVAS)
    with live(lab) as running:
        running.launch_and_leave("20", "2")
        with terminal(running) as person:
            person.wait_for("junior-1", "Leaderboard", "training")
            before = {p.pid for p in running.processes("supervise", str(lab.root))}
            person.press("q")
            person.wait_for("the lab goes on", "left with 0")
        assert {p.pid for p in running.processes("supervise", str(lab.root))} == before
        with terminal(running, (80, 24)) as person:
            person.wait_for("junior-1")
            person.close()
        running.wait(
            lambda _: not running.processes(" _screen --lab", str(lab.root)),
            "the killed terminal's screen gone",
        )
        assert {p.pid for p in running.processes("supervise", str(lab.root))} == before
        done = running.wait(lambda s: s.counted >= 1, "the next verdict")
        assert done.supervisor_alive


def test_attaching_to_a_pane_and_coming_back(tmp_path: Path) -> None:
    lab = make_toy_lab(tmp_path / "lab", SLOW_CANVAS)
    with live(lab) as running:
        running.launch_and_leave("20", "1")
        with terminal(running) as person:
            person.wait_for("junior-1", "Leaderboard")
            person.press("Enter")
            person.wait_for("C-q or F12: back")
            person.press("F12")
            person.wait_for("Leaderboard")
            person.press("q")
            person.wait_for("left with 0")
