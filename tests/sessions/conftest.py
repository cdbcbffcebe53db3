"""What the tests of sessions share: a repository with one commit, and waiting with a deadline."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sessions.git import Repository


@pytest.fixture(autouse=True)
def _plain_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A HOME of its own without any git identity, and no tmux around us."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in [name for name in os.environ if name.startswith(("GIT_AUTHOR", "GIT_COMMITTER", "TMUX"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with `training/train.py` and `prepare.py` in its first commit, on main."""
    made = Repository.init(tmp_path / "lab")
    (made.root / "training").mkdir()
    (made.root / "training" / "train.py").write_text("LR = 1\nDEPTH = 2\n")
    (made.root / "prepare.py").write_text("# the referee\n")
    made.commit_first(["training/train.py", "prepare.py"], "First")
    return made


def git(folder: Path, *arguments: str) -> str:
    """Plain git, as the person would type it."""
    who = ("-c", "user.name=Person", "-c", "user.email=person@example.org")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def eventually(true: Callable[[], object], deadline_s: float = 15.0) -> None:
    """Wait until `true()` holds."""
    end = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < end, f"not within {deadline_s} s"
        time.sleep(0.01)
