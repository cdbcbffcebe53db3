"""Benchmarks that calibrate themselves, told by their sources: the time of an operation is the metric."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.model.states import Direction
from supervisor.recognition.finding import Fact
from supervisor.recognition.recognise import recognise
from supervisor.recognition.tree import Tree

GO = {"go.mod": "module x\n", "sort.go": "package x\n"}
GO_TEST = 'package x\n\nimport "testing"\n\nfunc BenchmarkA(b *testing.B) {}\n'
CPP = '#include "benchmark/benchmark.h"\nBENCHMARK(BM_Set);\n'
CMAKE = {"CMakeLists.txt": "add_executable(bench bench.cc)\n", "src/set.cc": "int x;\n"}
RUST = {"Cargo.toml": "[package]\n", "src/lib.rs": "pub fn f() {}\n"}
NPM = {"package.json": '{"scripts": {"bench": "x"}}', "src/slug.js": "x"}
VITEST = "import { bench, describe } from 'vitest'\n  bench('short', () => {})\n"
BENCHMARK_JS = "const Benchmark = require('benchmark')\nsuite.add('parse', f)\n"
CRITERION = "use criterion::Criterion;\nfn b(c: &mut Criterion) {\n"


@pytest.mark.parametrize(
    ("files", "metric", "sure"),
    [
        (GO | {"sort_test.go": GO_TEST}, "BenchmarkA", True),
        (GO | {"sort_test.go": GO_TEST + "\nfunc BenchmarkB(b *testing.B) {}\n"}, "geomean", False),
        (GO | {"sort_test.go": GO_TEST.replace("{}", '{ b.Run("x", nil) }')}, "geomean", True),
        (CMAKE | {"bench.cc": CPP}, "BM_Set", True),
        (CMAKE | {"bench.cc": CPP.replace(";", "->Range(8, 64);")}, "geomean", True),
        (RUST | {"benches/a.rs": CRITERION + 'c.bench_function("fib 20", |b| b);}\n'}, "fib 20", True),
        (RUST | {"benches/a.rs": CRITERION + 'let g = c.benchmark_group("g");}\n'}, "geomean", True),
        (NPM | {"bench/slug.bench.js": VITEST}, "short", True),
        (NPM | {"bench/slug.bench.js": VITEST + "  bench('long', f)\n"}, "geomean", False),
        (NPM | {"benchmark/index.js": BENCHMARK_JS}, "parse", True),
        (
            {"bench.sh": "hyperfine --warmup 3 'python3 solver.py'\n", "solver.py": "print(3)\n"},
            "geomean",
            True,
        ),
    ],
)
def test_the_time_of_an_operation_is_the_metric(files: dict[str, str], metric: str, sure: bool) -> None:
    finding = recognise(Tree(Path("/nowhere"), files, lambda path: files[path].encode()))
    assert finding is not None and finding.metric == metric
    assert finding.direction is Direction.LOWER
    assert (Fact.METRIC not in finding.guesses) is sure
    assert "time " not in finding.command and "TIMEFORMAT" not in finding.command


@pytest.mark.parametrize("passes_on", ["from .tokens import split\n", "from textkit.tokens import split\n"])
def test_the_names_that_a_package_passes_on_are_its_modules(passes_on: str) -> None:
    files = {
        "pyproject.toml": '[dependency-groups]\ndev = ["pytest-benchmark>=4"]\n',
        "src/textkit/__init__.py": passes_on,
        "src/textkit/tokens.py": "CHUNK = 8\n",
        "tests/benchmarks/test_bench_tokens.py": "from textkit import split\n\n\n"
        'def test_split(benchmark):\n    benchmark(split, "abc")\n',
    }
    finding = recognise(Tree(Path("/nowhere"), files, read=lambda path: files[path].encode()))
    assert finding is not None and not finding.guesses
    assert (finding.editable, finding.metric) == (("src/textkit/tokens.py",), "test_split")


def test_a_tool_that_calibrates_itself_is_never_timed_also_where_it_is_not_read() -> None:
    files = NPM | {"bench.js": "import { Bench } from 'tinybench'\n"}
    finding = recognise(Tree(Path("/nowhere"), files, lambda path: files[path].encode()))
    assert finding is not None and (finding.metric, finding.command) == ("", "npm run --silent bench")
    assert any("bench.js:1: tinybench takes as long" in caution for caution in finding.cautions)
