"""What the tests of sessions share: a repository with one commit, and waiting with a deadline."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessions.git.repository import Repository
from sessions.processes import marks
from sessions.runs.contract import LOG_FILE, RunOutcome, RunSpec, read_outcome
from sessions.runs.start import end_runner, runner_alive, start_runner
from tests.sessions import trainers

Make = Callable[..., RunSpec]
CLI = f"""#!{sys.executable}
import sys
from sessions.runs.runner import main
sys.exit(main(sys.argv[2]))
"""


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


@pytest.fixture
def cli(tmp_path: Path) -> Path:
    """Stands in for the console script, which does nothing more for `_runner`."""
    path = tmp_path / "autoresearch-tui"
    path.write_text(CLI)
    path.chmod(0o755)
    return path


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes the spec of a run of the given trainer; whatever it left is ended afterwards."""
    made: list[RunSpec] = []

    def make(script: str, head: str = trainers.HEAD, **changes: object) -> RunSpec:
        bench = tmp_path / f"bench-{len(made)}"
        bench.mkdir()
        (bench / "train.py").write_text(head + script)
        spec = RunSpec(
            run_id=f"e0001.{len(made) + 1}",
            directory=tmp_path / f"run-{len(made)}",
            cwd=bench,
            argv=(sys.executable, "train.py"),
            env={"PATH": os.environ["PATH"], "ONLY": "this"},
            seed=1234,
            budget_s=0.2,
            clock="cpu",
            device="cpu:0",
            timeout_s=60.0,
            marker=f"test-{os.getpid()}-{tmp_path.name}",
            smoke=False,
            sandbox=False,
        )
        spec = dataclasses.replace(spec, **changes)  # type: ignore[arg-type]
        made.append(spec)
        return spec

    yield make
    for spec in made:
        end_runner(spec.directory)
        assert marks.end_marked(spec.marker) == 0, "a process outlived its run"


def run(spec: RunSpec, cli: Path) -> RunOutcome:
    start_runner(spec, cli)
    eventually(lambda: not runner_alive(spec.directory), 60)
    outcome = read_outcome(spec.directory)
    assert outcome is not None, (spec.directory / "runner.err").read_text()
    return outcome


def log_of(spec: RunSpec) -> str:
    return (spec.directory / LOG_FILE).read_text()
