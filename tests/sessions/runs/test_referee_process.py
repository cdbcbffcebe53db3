"""A run whose referee is a process of its own: who starts what, and what comes of killing each."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from sessions.runs.contract import RunEnding, read_outcome
from sessions.runs.start import runner_alive, runner_pid, start_runner
from tests.sessions.conftest import Make, eventually, log_of, run

# It reports once its trainer says so, and ends when its trainer does.
REFEREE = """
import json, os, socket, sys
runner = socket.socket(fileno=int(os.environ["AUTORESEARCH_CHANNEL"])).makefile("rw")
wall = socket.socket(fileno=int(sys.argv[1])).makefile("r")
task = json.loads(runner.readline())
def say(event, **rest):
    runner.write(json.dumps({"event": event, **rest}) + "\\n")
    runner.flush()
print("judging", task["trainer"], os.getpid(), "AUTORESEARCH_CACHE" in os.environ, flush=True)
say("phase", phase="training")
counts = {"steps": 1, "tokens": 2, "training_s": 0.0}
for line in wall:
    say("phase", phase="evaluating", **counts)
    say("report", metric="val_bpb", value=float(line), **counts)
"""
TRAINER = """
import os, socket, time
assert "AUTORESEARCH_CHANNEL" not in os.environ and "AUTORESEARCH_CACHE" not in os.environ
wall = socket.socket(fileno=int(os.environ["AUTORESEARCH_WALL"]))
print("training", os.getpid(), flush=True)
{}
wall.sendall(b"1.5\\n")
"""
WAIT = "time.sleep(600)"


@pytest.fixture
def judged(make: Make, tmp_path: Path) -> Make:
    referee = tmp_path / "referee.py"
    referee.write_text(REFEREE)
    environment = {"PATH": os.environ["PATH"], "AUTORESEARCH_CACHE": "/data"}

    def judged(script: str, **changes: object) -> object:
        argv = (sys.executable, "-I", str(referee))
        return make(TRAINER.format(script), "", referee_argv=argv, env=environment, **changes)

    return judged  # type: ignore[return-value]


@pytest.mark.parametrize("sandbox", [False, True])
def test_the_referee_alone_reports(judged: Make, cli: Path, sandbox: bool) -> None:
    spec = judged("", sandbox=sandbox)
    outcome = run(spec, cli)
    assert (outcome.ending, outcome.reason, outcome.metric) == (RunEnding.MEASURED, "", 1.5), log_of(spec)
    _, trainer, referee, has_data = next(
        line for line in log_of(spec).splitlines() if line.startswith("judging")
    ).split()
    assert has_data == "True" and trainer != referee
    assert not outcome.killed


@pytest.mark.parametrize(
    ("victim", "says"), [("judging", "the referee was killed by SIGKILL"), ("training", "killed by SIGKILL")]
)
def test_whoever_is_killed_the_run_has_crashed_and_nothing_is_left(
    judged: Make, cli: Path, victim: str, says: str
) -> None:
    spec = judged(WAIT)
    start_runner(spec, cli)
    eventually(
        lambda: (spec.directory / "run.log").exists() and {"judging", "training"} <= set(log_of(spec).split())
    )
    line = next(line for line in log_of(spec).splitlines() if line.startswith(victim)).split()
    os.kill(int(line[2] if victim == "judging" else line[1]), signal.SIGKILL)
    eventually(lambda: not runner_alive(spec.directory), 30)
    outcome = read_outcome(spec.directory)
    assert outcome is not None
    assert (outcome.ending, outcome.killed, outcome.metric) == (RunEnding.CRASHED, True, None)
    assert outcome.reason.startswith(says)


def test_a_killed_runner_takes_both_along(judged: Make, cli: Path) -> None:
    spec = judged(WAIT)
    start_runner(spec, cli)
    eventually(
        lambda: (spec.directory / "run.log").exists() and {"judging", "training"} <= set(log_of(spec).split())
    )
    runner = runner_pid(spec.directory)
    assert runner is not None
    os.kill(runner, signal.SIGKILL)
    pids = [
        int(line.split()[2 if line.startswith("judging") else 1])
        for line in log_of(spec).splitlines()
        if line.startswith(("judging", "training"))
    ]
    eventually(lambda: not runner_alive(spec.directory), 30)
    assert len(pids) == 2
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    assert read_outcome(spec.directory) is None  # it is made again
