"""Whether a confined run can get at the sealed holdout of the cache that it reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from sessions.runs.confinement import wrap
from sessions.runs.contract import RunSpec
from sessions.sandbox import run_sandbox as sandbox
from sessions.sandbox.run_sandbox import Confinement
from supervisor.lab.paths import data_cache, sealed_data
from tests.referee.hub import Hub

LOOK = """
import pathlib, sys
for folder in map(pathlib.Path, sys.argv[1:]):
    try:
        found = [path for path in folder.rglob("*") if path.is_file() and path.read_bytes()]
    except OSError:
        found = []
    print(len(found))
"""


@pytest.mark.parametrize("named", [None, "~/elsewhere", "/data/cache", "/data/cache/"])
def test_the_lab_and_the_referee_mean_the_same_folders(
    referee: ModuleType, corpus_code: ModuleType, monkeypatch: pytest.MonkeyPatch, named: str | None
) -> None:
    monkeypatch.delenv("AUTORESEARCH_CACHE")
    if named is not None:
        monkeypatch.setenv("AUTORESEARCH_CACHE", named)
    assert data_cache() == referee.cache_root()
    assert sealed_data() == corpus_code.sealed_root()


@pytest.mark.parametrize("grade", [Confinement.BWRAP, Confinement.LANDLOCK])
def test_a_confined_run_reads_the_cache_and_not_what_is_sealed(
    fetcher: ModuleType, hub: Hub, tmp_path: Path, grade: Confinement, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not sandbox.works(grade):
        pytest.skip(f"{grade} does not work here")
    fetcher.prepare("climbmix:2")
    bench, home = tmp_path / "bench", tmp_path / "home"
    bench.mkdir()
    home.mkdir()
    argv = (sys.executable, "-c", LOOK, str(fetcher.cache_root()), str(fetcher.sealed_root()))
    spec = RunSpec(
        run_id="1",
        directory=tmp_path / "run",
        cwd=bench,
        argv=argv,
        env={"HOME": str(home), "TMPDIR": str(home), "PATH": "/usr/bin:/bin"},
        seed=1,
        budget_s=1.0,
        clock="wall",
        device="cpu:0",
        timeout_s=60.0,
        readable=(tmp_path,),  # more than a lab would give: only `hidden` stands before the sealed folder
        hidden=(sealed_data(),),
    )
    done = subprocess.run(
        wrap(argv, spec, grade), cwd=bench, env=spec.env, capture_output=True, text=True, timeout=60
    )
    in_cache, in_sealed = map(int, done.stdout.split())
    assert in_cache > 5, done.stderr
    assert in_sealed == 0
