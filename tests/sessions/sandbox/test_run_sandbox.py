"""What confines a run, by what a real Python inside can and cannot do."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sessions.runs.confinement import wrap
from sessions.runs.contract import RunSpec
from sessions.sandbox import run_sandbox as sandbox
from sessions.sandbox.run_sandbox import Confinement
from tests.sessions.conftest import eventually

LOOK = """
import json, os, socket, sys
def can(action):
    try:
        action()
        return True
    except OSError:
        return False
secret, readable, bench, port, state, tmux = sys.argv[1:7]
print(json.dumps({
    "secret": can(lambda: open(secret).read()),
    "readable": can(lambda: open(readable + "/data.txt").read()),
    "write readable": can(lambda: open(readable + "/new", "w")),
    "write bench": can(lambda: open(bench + "/new", "w")),
    "write tmp": can(lambda: open("/tmp/autoresearch-test", "w")),
    "write etc": can(lambda: open("/etc/autoresearch-test", "w")),
    "network": can(lambda: socket.create_connection(("127.0.0.1", int(port)), timeout=2)),
    "cwd": os.getcwd(),
    "read the state": can(lambda: open(state + "/holdout.bin").read()),
    "list the state": can(lambda: os.listdir(state)),
    "write the state": can(lambda: open(state + "/lab.db", "r+b")),
    "write home": can(lambda: open(os.environ["HOME"] + "/new", "w")),
    "write private tmp": can(lambda: open(os.environ["TMPDIR"] + "/new", "w")),
    "write null": can(lambda: open("/dev/null", "w")),
    "shared memory": can(lambda: open("/dev/shm/autoresearch-test", "w")),
    "tmux": can(lambda: socket.socket(socket.AF_UNIX).connect(tmux)),
    "pid": os.getpid(),
    "uid": os.getuid(),
    "module": __import__("referee").NAME,
}))
"""


GRADES = (Confinement.BWRAP, Confinement.LANDLOCK, Confinement.UNSHARE)
OPEN = {"readable", "write home", "write private tmp", "write null", "shared memory"}


def skip_unless(grade: Confinement) -> None:
    if not sandbox.works(grade):
        pytest.skip(f"{grade} does not work here")


@dataclasses.dataclass
class Place:
    """A lab's folders, as a run finds them: everything below the person's home, the bench below the state."""

    home: Path

    def __post_init__(self) -> None:
        self.state = self.home / "lab" / ".autoresearch"
        self.bench, self.referee = self.state / "benches" / "cpu-0", self.state / "referee" / "ab12"
        self.data, self.private = self.home / ".cache" / "data", self.state / "runs" / "private"
        for folder in (self.bench, self.referee, self.data, self.private / "home", self.private / "tmp"):
            folder.mkdir(parents=True)
        for path in (self.home / "secret", self.state / "holdout.bin", self.state / "lab.db"):
            path.write_text("x")
        (self.data / "data.txt").write_text("x")
        (self.referee / "referee.py").write_text("NAME = 'ours'\n")

    def spec(self, *argv: str, has_referee: bool = True) -> RunSpec:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.private / "home"),
            "TMPDIR": str(self.private / "tmp"),
            "PYTHONPATH": str(self.referee),
        }
        return RunSpec(
            "e0001.1", self.state / "runs", self.bench, argv, env, 1, 1.0, "cpu", "cpu:0", 60.0,
            readable=(self.data, self.home / "lab"), referee=self.referee, hidden=(self.state,),
            has_referee=has_referee,
        )  # fmt: skip


def look(grade: Confinement, home: Path, has_referee: bool = True) -> dict[str, Any]:
    place = Place(home)
    tmux = Path(os.environ.get("TMUX_TMPDIR") or "/tmp", f"tmux-{os.getuid()}")
    tmux.mkdir(mode=0o700, exist_ok=True)
    path = tmux / f"autoresearch-test-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_server(str(path), family=socket.AF_UNIX),
    ):
        port = str(listening.getsockname()[1])
        where = (place.home / "secret", place.data, place.bench, port, place.state, path)
        spec = place.spec(sys.executable, "-c", LOOK, *map(str, where), has_referee=has_referee)
        command = wrap(spec.argv, spec, grade)
        done = subprocess.run(
            command, cwd=place.bench, env=spec.env, capture_output=True, text=True, timeout=30
        )
        path.unlink()
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    assert seen.pop("cwd") == str(place.bench)
    assert seen.pop("module") == "ours"
    return seen


@pytest.mark.parametrize("has_referee", [True, False])
@pytest.mark.parametrize("grade", [Confinement.BWRAP, Confinement.LANDLOCK])
def test_a_run_sees_and_writes_what_it_needs_and_nothing_else(
    grade: Confinement, has_referee: bool, tmp_path: Path
) -> None:
    skip_unless(grade)
    seen = look(grade, tmp_path / "home", has_referee)
    assert seen.pop("pid") < 10
    seen.pop("uid")
    open_here = OPEN | ({"write tmp"} if grade is Confinement.BWRAP else set())  # a /tmp of its own
    open_here |= set() if has_referee else {"write bench"}
    seen.pop("list the state") if grade is Confinement.BWRAP else None  # there it is empty, but for the bench
    assert {name for name, can in seen.items() if can} == open_here
    assert not Path("/tmp/autoresearch-test").exists()
    assert not Path("/dev/shm/autoresearch-test").exists()


def test_unshare_takes_the_network_and_the_processes(tmp_path: Path) -> None:
    skip_unless(Confinement.UNSHARE)
    seen = look(Confinement.UNSHARE, tmp_path / "home")
    remove_traces()
    assert seen["pid"] < 10
    assert not seen["network"]
    assert seen["secret"], "the file system stays open: the screen says so"


def remove_traces() -> None:
    for path in ("/tmp/autoresearch-test", "/etc/autoresearch-test", "/dev/shm/autoresearch-test"):
        Path(path).unlink(missing_ok=True)


@pytest.mark.parametrize("grade", GRADES)
def test_nothing_is_left_behind(grade: Confinement, tmp_path: Path) -> None:
    skip_unless(grade)
    program = (
        "import subprocess, sys; hidden = subprocess.Popen([sys.executable, '-c', "
        "\"import time; print('up', flush=True); time.sleep(600)\", sys.argv[1]], env={}, "
        "start_new_session=True, stdout=subprocess.PIPE); hidden.stdout.readline()"
    )
    mark = f"left-by-{tmp_path.name}-{os.getpid()}"
    spec = Place(tmp_path / "home").spec(sys.executable, "-c", program, mark)
    subprocess.run(wrap(spec.argv, spec, grade), cwd=spec.cwd, env=spec.env, check=True, timeout=30)
    eventually(lambda: not any(mark in line for line in command_lines()))


def command_lines() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_text(errors="replace"))
    return found


def test_a_kernel_without_landlock_is_told_apart(tmp_path: Path) -> None:
    """The launcher says no rather than start something unconfined."""
    skip_unless(Confinement.UNSHARE)
    forbid = "import ctypes, runpy, sys; ctypes.CDLL(None).syscall = lambda *_: -1; "
    program = forbid + f"sys.path.insert(0, {str(Path(sandbox.__file__).parent)!r}); import landlock; "
    program += "landlock.libc.syscall = lambda *_: -1; landlock.main()"
    argv = [sys.executable, "-c", program, "--read", "/", "--", "/bin/echo", "unconfined"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (126, "")
    assert "the sandbox cannot start /bin/echo" in done.stderr


def test_none_changes_nothing(tmp_path: Path) -> None:
    seen = look(Confinement.NONE, tmp_path / "home")
    remove_traces()
    assert seen["network"] and seen["secret"] and seen["read the state"] and seen["tmux"]


@pytest.mark.parametrize("grade", GRADES)
def test_torch_trains_inside(grade: Confinement, tmp_path: Path) -> None:
    skip_unless(grade)
    program = (
        "import torch; x = torch.ones(3, requires_grad=True); (x * 2).sum().backward(); print(x.grad.sum())"
    )
    spec = Place(tmp_path / "home").spec(sys.executable, "-c", program)
    command = wrap(spec.argv, spec, grade)
    done = subprocess.run(command, cwd=spec.cwd, env=spec.env, capture_output=True, text=True, timeout=60)
    assert done.stdout == "tensor(6.)\n", done.stderr


def test_probe_takes_the_best_that_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sandbox.probe.cache_clear()
    best = next((grade for grade in GRADES if sandbox.works(grade)), Confinement.NONE)
    assert sandbox.probe() is best
    for tool in ("bwrap", "unshare"):  # installed, but refused by the system
        (tmp_path / tool).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    sandbox.probe.cache_clear()
    assert sandbox.probe() is Confinement.NONE
    sandbox.probe.cache_clear()
