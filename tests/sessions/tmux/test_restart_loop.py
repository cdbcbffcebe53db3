"""The restart loop, with the real sh; `sleep` and `date` on its PATH only tell what they were asked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sessions.tmux.restart_loop import keeper_argv


@pytest.fixture
def path(tmp_path: Path) -> str:
    scripts = {
        "sleep": 'echo "$1" >>slept; [ -f clock ] && echo $(($(cat clock) + $1)) >clock; exit 0',
        "date": "cat clock 2>/dev/null || echo 0",
    }
    for name, script in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


def keep(script: str, path: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = keeper_argv(["/bin/sh", "-c", script, "kept", "an argument; with 'quotes'"])
    return subprocess.run(command, cwd=folder, env={"PATH": path}, capture_output=True, text=True, timeout=30)


def test_it_ends_when_its_command_is_done(path: str, tmp_path: Path) -> None:
    done = keep('echo "$1"', path, tmp_path)
    assert (done.returncode, done.stdout) == (0, "an argument; with 'quotes'\n")
    assert not (tmp_path / "slept").exists()


def test_it_backs_off_and_gives_up_with_a_reason(path: str, tmp_path: Path) -> None:
    done = keep("echo once >>ran; exit 7", path, tmp_path)
    assert done.returncode == 7
    assert (tmp_path / "ran").read_text().count("once") == 10
    assert (tmp_path / "slept").read_text().split() == ["1", "2", "4", "8", "16", "32", "60", "60", "60"]
    assert "gave up: it ended 10 times in a row" in done.stdout and "code 7" in done.stdout


def test_a_long_run_starts_the_count_afresh(path: str, tmp_path: Path) -> None:
    (tmp_path / "clock").write_text("1000")
    # Three quick deaths, then one after 100 s, two more quick ones, then it works.
    script = """
    echo once >>ran
    case $(wc -l <ran) in
      4) echo $(($(cat clock) + 100)) >clock; exit 1 ;;
      7) exit 0 ;;
      *) exit 1 ;;
    esac
    """
    assert keep(script, path, tmp_path).returncode == 0
    assert (tmp_path / "slept").read_text().split() == ["1", "2", "4", "1", "2", "4"]


def test_an_interrupt_is_for_the_command_not_for_the_loop(path: str, tmp_path: Path) -> None:
    done = keep('echo once >>ran; [ $(wc -l <ran) = 2 ] || kill -INT "$PPID" $$', path, tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "ran").read_text().count("once") == 2
