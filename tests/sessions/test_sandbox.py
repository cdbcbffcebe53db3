"""What confines a run, by what a real Python inside can and cannot do."""

from __future__ import annotations

import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from sessions import sandbox
from sessions.sandbox import Confinement
from sessions.training_runs import RunSpec

LOOK = """
import json, os, socket, sys
def can(action):
    try:
        action()
        return True
    except OSError:
        return False
secret, readable, bench, port = sys.argv[1:5]
print(json.dumps({
    "secret": can(lambda: open(secret).read()),
    "readable": can(lambda: open(readable + "/data.txt").read()),
    "write readable": can(lambda: open(readable + "/new", "w")),
    "write bench": can(lambda: open(bench + "/new", "w")),
    "write tmp": can(lambda: open("/tmp/autoresearch-test", "w")),
    "write etc": can(lambda: open("/etc/autoresearch-test", "w")),
    "network": can(lambda: socket.create_connection(("127.0.0.1", int(port)), timeout=2)),
    "cwd": os.getcwd(),
    "pid": os.getpid(),
    "uid": os.getuid(),
    "module": __import__("referee").NAME,
}))
"""


@functools.cache
def works(grade: Confinement) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        command = sandbox._command(grade, ["/bin/sh", "-c", "test -w ."], Path(folder), {}, ())
        return bool(shutil.which(grade)) and sandbox._works(command, folder)


def spec_in(bench: Path, home: Path, readable: Path, referee: Path, *argv: str) -> RunSpec:
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(referee)}
    return RunSpec(
        "e0001.1", bench.parent, bench, argv, env, 1, 1.0, "cpu", "cpu:0", 60.0, readable=(readable,)
    )


def look(grade: Confinement, tmp_path: Path) -> dict[str, Any]:
    home, bench = tmp_path / "home", tmp_path / "home" / "lab" / "bench"
    data, referee = home / ".cache" / "data", home / "lab" / "referee"
    for folder in (bench, data, referee):
        folder.mkdir(parents=True)
    (home / "secret").write_text("x")
    (data / "data.txt").write_text("x")
    (referee / "referee.py").write_text("NAME = 'ours'\n")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
        arguments = (str(home / "secret"), str(data), str(bench), port)
        spec = spec_in(bench, home, data, referee, sys.executable, "-c", LOOK, *arguments)
        command = sandbox.wrap(spec.argv, spec, grade)
        done = subprocess.run(command, cwd=bench, env=spec.env, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    assert seen.pop("cwd") == str(bench)
    assert seen.pop("module") == "ours"
    return seen


def test_bubblewrap_hides_everything_that_a_run_does_not_need(tmp_path: Path) -> None:
    if not works(Confinement.BWRAP):
        pytest.skip("bubblewrap is not installed here, or may not be used")
    seen = look(Confinement.BWRAP, tmp_path)
    assert seen.pop("pid") < 10
    assert seen.pop("uid") == os.getuid()
    assert {name for name, can in seen.items() if can} == {"readable", "write bench", "write tmp"}
    assert not Path("/tmp/autoresearch-test").exists()


def test_unshare_takes_the_network_and_the_processes(tmp_path: Path) -> None:
    if not works(Confinement.UNSHARE):
        pytest.skip("no user namespaces here")
    seen = look(Confinement.UNSHARE, tmp_path)
    Path("/tmp/autoresearch-test").unlink()
    Path("/etc/autoresearch-test").unlink(missing_ok=True)
    assert seen["pid"] < 10
    assert not seen["network"]
    assert seen["secret"], "the file system stays open: the screen says so"


def test_none_changes_nothing(tmp_path: Path) -> None:
    seen = look(Confinement.NONE, tmp_path)
    Path("/tmp/autoresearch-test").unlink()
    Path("/etc/autoresearch-test").unlink(missing_ok=True)
    assert seen["network"] and seen["secret"]


@pytest.mark.parametrize("grade", [Confinement.BWRAP, Confinement.UNSHARE])
def test_torch_trains_inside(grade: Confinement, tmp_path: Path) -> None:
    if not works(grade):
        pytest.skip(f"{grade} does not work here")
    program = (
        "import torch; x = torch.ones(3, requires_grad=True); (x * 2).sum().backward(); print(x.grad.sum())"
    )
    spec = spec_in(tmp_path, Path.home(), tmp_path, tmp_path, sys.executable, "-c", program)
    command = sandbox.wrap(spec.argv, spec, grade)
    done = subprocess.run(command, cwd=tmp_path, env=spec.env, capture_output=True, text=True, timeout=60)
    assert done.stdout == "tensor(6.)\n", done.stderr


def test_probe_takes_the_best_that_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sandbox.probe.cache_clear()
    best = next((g for g in (Confinement.BWRAP, Confinement.UNSHARE) if works(g)), Confinement.NONE)
    assert sandbox.probe() is best
    for tool in ("bwrap", "unshare"):  # installed, but refused by the system
        (tmp_path / tool).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    sandbox.probe.cache_clear()
    assert sandbox.probe() is Confinement.NONE
    sandbox.probe.cache_clear()
