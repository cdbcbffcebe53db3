"""Stand-ins for toolchains: they print what the real ones print, by a constant of the code."""

from __future__ import annotations

import stat
from pathlib import Path

_GO = """\
#!/bin/sh
case "$*" in *-bench*) ;; *) exit 0 ;; esac
chunk=$(sed -n 's/^const Chunk = //p' *.go)
printf 'goos: linux\\ngoarch: amd64\\npkg: example.com/sorting\\ncpu: AMD EPYC 7B13\\n'
printf 'BenchmarkSort-8   \\t    1203\\t    %s ns/op\\t    5120 B/op\\t      12 allocs/op\\n' "$((chunk * 1000 + 231))"
printf 'PASS\\nok  \\texample.com/sorting\\t2.105s\\n'
"""
_CARGO = """\
#!/bin/sh
case "$1" in bench) ;; *) exit 0 ;; esac
window=$(sed -n 's/^pub const WINDOW: usize = \\([0-9]*\\);/\\1/p' src/lib.rs)
printf 'Benchmarking moving average: Collecting 100 samples in estimated 5.1 s (193k iterations)\\n'
printf 'moving average          time:   [%s.029 µs %s.251 µs %s.505 µs]\\n' "$window" "$window" "$window"
printf '                        change: [-1.2%% +0.1%% +1.0%%] (p = 0.90 > 0.05)\\n'
"""
# pytest-benchmark's fixture and its report, with one round.
_PYTEST_BENCHMARK = """\
import json
import time

import pytest

_found = []


def pytest_addoption(parser):
    group = parser.getgroup("benchmark")
    group.addoption("--benchmark-only", action="store_true")
    group.addoption("--benchmark-skip", action="store_true")
    group.addoption("--benchmark-json")


@pytest.fixture
def benchmark(request):
    def timed(function, *arguments):
        began = time.perf_counter()
        value = function(*arguments)
        took = time.perf_counter() - began
        stats = {"min": took, "max": took, "mean": took, "stddev": 0, "median": took, "rounds": 1}
        _found.append({"name": request.node.name, "fullname": request.node.nodeid, "stats": stats})
        return value

    return timed


def pytest_sessionfinish(session):
    if path := session.config.getoption("--benchmark-json"):
        with open(path, "w") as file:
            json.dump({"machine_info": {}, "benchmarks": _found, "version": "5.1.0"}, file, indent=4)
"""


def put_toolchains(folder: Path) -> dict[str, str]:
    """The programs in `folder`; returns what the environment has to be for them to be found, PATH's part as PATH."""
    folder.mkdir(parents=True)
    for name, text in {"go": _GO, "cargo": _CARGO}.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(stat.S_IRWXU)
    (folder / "benchmark_stand_in.py").write_text(_PYTEST_BENCHMARK, encoding="utf-8")
    return {"PATH": str(folder), "PYTHONPATH": str(folder), "PYTEST_ADDOPTS": "-p benchmark_stand_in"}
