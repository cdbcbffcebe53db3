"""`init` in a real terminal: what it asks, what it measures, and that leaving leaves nothing behind."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from supervisor.lab.paths import find_lab
from tests.worlds import foreign

Git = Callable[..., str]
PATIENCE_S = 60.0
FIT = """\
import random, sys
RATE = 0.1
print("step 1", flush=True)
print(f"took: {1.25}")
print(f"rmse: {RATE + random.gauss(0, 0.002):.5f}")
"""


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        program = Path(sys.executable).with_name("autoresearch-tui")
        env = os.environ | {"TERM": "xterm", "COLUMNS": "110", "LINES": "40", "NO_COLOR": "1"}
        self.process = subprocess.Popen(
            [program, "init", *words], cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True, preexec_fn=_own_terminal,
        )  # fmt: skip
        os.close(theirs)
        self.seen = ""

    def wait_for(self, text: str) -> None:
        """Read until the text has been shown; what was shown before does not count again."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} never came; there was: {self.seen[-2000:]}"
            if select.select([self._ours], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self._ours, 65536).decode("utf-8", "replace")
                except OSError:
                    assert text in self.seen, f"it ended without {text!r}: {self.seen[-2000:]}"
        self.seen = self.seen.partition(text)[2]

    def type(self, text: str) -> None:
        """A line, and Enter."""
        os.write(self._ours, f"{text}\n".encode())

    def interrupt(self) -> None:
        """Ctrl-C."""
        os.write(self._ours, b"\x03")

    def ends(self) -> int:
        """Its exit code."""
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait(PATIENCE_S)
        os.close(self._ours)


def _own_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches it as a signal


@pytest.fixture
def open_terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_one(folder: Path, *words: str) -> Terminal:
        opened.append(Terminal(folder, *words))
        return opened[-1]

    yield open_one
    for terminal in opened:
        terminal.close()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return foreign.plant(tmp_path / "project", {"fit.py": FIT, "lib/other.py": "X = 1\n"})


def answer_all(terminal: Terminal, command: str = "", timeout: str = "30s") -> None:
    for question, answer in (
        ("What may change?", "fit.py"),
        ("How is it measured?", command),
        ("Is better up or down?", "up"),
        ("What must stay true?", "none"),
        ("How long may one", timeout),
        ("What is off-limits?", "no lookup tables"),
        ("How many at once?", "3"),
        ("When shall it stop?", "5 experiments"),
    ):
        terminal.wait_for(question)
        terminal.type(answer)


def test_eight_questions_and_three_runs_make_a_lab(
    open_terminal: Callable[..., Terminal], project: Path, git: Git
) -> None:
    before = (
        git(project, "rev-parse", "HEAD"),
        git(project, "for-each-ref"),
        (project / ".git/config").read_text(),
    )
    terminal = open_terminal(project)
    terminal.wait_for("What may change?")
    terminal.type("nope.py")
    terminal.wait_for("nope.py is not among the committed files")
    terminal.wait_for("What may change?")
    terminal.type("?")
    terminal.wait_for("Everything else stays as it is")
    terminal.type("fit.py")
    terminal.wait_for("How is it measured? [{python} fit.py]")
    terminal.type("back")
    answer_all(terminal)
    terminal.wait_for("Which of these is the metric? (took, rmse) [rmse]")
    terminal.type("")
    terminal.wait_for("over 3 runs")
    terminal.wait_for("this is your noise: gains below")
    terminal.wait_for("you said higher is better, but less rmse is better")
    terminal.type("lower")
    terminal.wait_for("nothing was committed")
    assert terminal.ends() == 0
    config = find_lab(project).config
    assert (config.lab.editable, config.lab.command) == (("fit.py",), "{python} fit.py")
    assert (config.metric.name, config.metric.direction) == ("rmse", "lower")
    assert (config.agents.juniors, config.limits.experiments, config.lab.timeout_s) == (3, 5, 30.0)
    program = (project / "program.md").read_text()
    assert "The lowest `rmse`" in program
    assert "no lookup tables" in program
    after = (
        git(project, "rev-parse", "HEAD"),
        git(project, "for-each-ref"),
        (project / ".git/config").read_text(),
    )
    assert after == before
    assert git(project, "status", "--porcelain").split() == ["??", "autoresearch.toml", "??", "program.md"]


def test_leaving_writes_nothing(open_terminal: Callable[..., Terminal], project: Path, git: Git) -> None:
    terminal = open_terminal(project)
    terminal.wait_for("What may change?")
    terminal.type("back")
    terminal.wait_for("that was the first question")
    terminal.type("quit")
    assert terminal.ends() == 130
    assert git(project, "status", "--porcelain") == ""


def test_who_goes_back_finds_the_answer_that_was_given(
    open_terminal: Callable[..., Terminal], project: Path
) -> None:
    terminal = open_terminal(project)
    for question, answer in (
        ("What may change?", "fit.py"),
        ("How is it measured? [{python} fit.py]", "python3 fit.py --fast"),
        ("Is better up or down? [down]", "up"),
        ("What must stay true?", "back"),
        ("Is better up or down? [up]", "back"),
        ("How is it measured? [python3 fit.py --fast]", ""),
        ("Is better up or down? [up]", "quit"),
    ):
        terminal.wait_for(question)
        terminal.type(answer)
    assert terminal.ends() == 130


def test_a_run_that_takes_too_long_is_ended_and_an_answer_may_change(
    open_terminal: Callable[..., Terminal], project: Path
) -> None:
    terminal = open_terminal(project)
    answer_all(terminal, "sleep 41.5", "1s")
    terminal.wait_for("no result after 1 s")
    terminal.wait_for("What now? (again, change, quit)")
    terminal.type("change")
    answer_all(terminal, "{python} fit.py")
    terminal.wait_for("Which of these")
    terminal.type("rmse")
    terminal.wait_for("Better is")
    terminal.type("l")
    assert terminal.ends() == 0


def test_ctrl_c_ends_the_trial_with_all_that_it_started(
    open_terminal: Callable[..., Terminal],
    project: Path,
    git: Git,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    terminal = open_terminal(project)
    answer_all(terminal, "sh -c 'echo here $((1 + 1)); sleep 417.5'")
    terminal.wait_for("here 2")
    terminal.interrupt()
    assert terminal.ends() == 130
    assert not [p for p in psutil.process_iter(["cmdline"]) if "417.5" in (p.info["cmdline"] or [])]
    assert git(project, "status", "--porcelain") == ""
    assert not list((tmp_path / "tmp").glob("autoresearch-trial-*"))


def test_a_recognised_lab_is_asked_only_what_its_files_do_not_tell(
    open_terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    root = foreign.plant(tmp_path / "unclear", {"train.py": "print(f'quux: {1}')\n"})
    terminal = open_terminal(root)
    terminal.wait_for("is a training script")
    terminal.wait_for("1/1  Is better up or down? [down]")
    terminal.type("up")
    assert terminal.ends() == 0
    assert find_lab(root).config.metric.direction == "higher"
    clear = open_terminal(foreign.plant(tmp_path / "clear", foreign.karpathy_files()))
    clear.wait_for("is a clone of karpathy/autoresearch")
    clear.wait_for("nothing was committed")
    assert clear.ends() == 0
