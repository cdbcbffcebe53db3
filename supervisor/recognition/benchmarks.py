"""Benchmarks that calibrate themselves: however fast the code is they take as long, and print an operation's time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sessions.runs.benchmark_tools import GEOMEAN
from supervisor.model.states import Direction
from supervisor.recognition.finding import Fact, Finding, Kind
from supervisor.recognition.pairs import solutions_of
from supervisor.recognition.surroundings import add_own_pace, add_surroundings, quoted
from supervisor.recognition.tree import Tree

_REPORT = "benchmark.json"


@dataclass(frozen=True, slots=True)
class _Tool:
    """How a tool is told by sources, and how these name a benchmark."""

    name: str
    mark: str  # a pattern
    label: str  # a pattern with one group
    parts: str = r"(?!)"  # a pattern of what makes several benchmarks of one


_TOOLS = (
    _Tool("Go's benchmarks", r"\*testing\.B\b", r"^func (Benchmark\w+)\(", r"\.Run\("),
    _Tool("criterion", r"\bcriterion(_main)?\b", r"\bbench_function\(\s*\"([^\"]+)\"", r"group\(|bench_with_input"),
    _Tool("Google Benchmark", r"benchmark/benchmark\.h", r"^\s*BENCHMARK\((\w+)\)", r"->(?:Arg|Range|Dense)|TEMPLATE"),
    _Tool("cargo's benches", r"\btest::Bencher\b|#\[bench\]", r"fn (\w+)\(\w+: &mut (?:test::)?Bencher"),
    _Tool("vitest bench", r"""from ['"]vitest['"]|\bvitest bench\b""", r"""\bbench(?:\.\w+)?\(\s*['"`]([^'"`]+)"""),
    _Tool("benchmark.js", r"""(?:require\(|from )['"]benchmark['"]""", r"""\.add\(\s*['"`]([^'"`]+)"""),
    _Tool("hyperfine", r"\bhyperfine\b", r"(?!)()"),
    _Tool("the time of an operation", r"print.*\bns/op\b", r"[\"'](Benchmark\w+?|[A-Za-z]\w*)(?:-\d+)?\s*(?:\\t|\s)+%"),
)  # fmt: skip


# They calibrate themselves as well, and print what only a pattern reads.
_UNREAD = (
    ("tinybench", r"""(?:require\(|from )['"]tinybench['"]"""),
    ("mitata", r"""(?:require\(|from )['"]mitata['"]"""),
    ("nanobench", r"[\"<]nanobench\.h|ankerl::nanobench"),
    ("Catch2", r"\bBENCHMARK(?:_ADVANCED)?\(\s*\""),
    ("divan", r"\bdivan::(?:main|bench)\b"),
    ("JMH", r"org\.openjdk\.jmh"),
)


def unread_tool(tree: Tree, paths: Iterable[str]) -> tuple[str, str] | None:
    """A tool that calibrates itself and prints what nothing here reads, and where it is used."""
    found = ((name, tree.find(path, mark)) for path in paths for name, mark in _UNREAD)
    return next(((name, line.where) for name, line in found if line is not None), None)


def add_benchmark(finding: Finding, tree: Tree, paths: Iterable[str]) -> Finding:
    """The time of an operation as the metric, where these files are benchmarks of a known tool."""
    paths = tuple(paths)
    for tool in _TOOLS:
        marked = [path for path in paths if tree.find(path, tool.mark)]
        if not marked:
            continue
        labels = [line.match[1] for path in marked for line in tree.find_all(path, tool.label)]
        divided = any(tree.find(path, tool.parts) for path in marked)
        line = tree.find(marked[0], tool.mark)
        return _with_time(finding, tool.name, line.where if line else marked[0], () if divided else labels)
    return finding


def _with_time(finding: Finding, tool: str, where: str, labels: Iterable[str]) -> Finding:
    names = list(dict.fromkeys(labels))
    if len(names) == 1:
        finding = finding.with_fact(Fact.METRIC, names[0], where, f"{tool}: the time of an operation")
    else:
        times = ", ".join(names[:3]) + (" …" if len(names) > 3 else "") if names else "what it times"
        why = f"{tool}: the geometric mean of {times}"
        finding = finding.with_fact(Fact.METRIC, GEOMEAN, where, why, guess=len(names) > 1)
    return finding.with_fact(Fact.DIRECTION, Direction.LOWER, "", "it is the time of an operation")


def recognise_pytest(tree: Tree) -> Finding | None:
    """Tests that take pytest-benchmark's fixture; what they import may change."""
    fixture = r"^\s*(?:async )?def (test_\w+)\([^)]*\bbenchmark\b"
    tests = [path for path in tree.files if path.endswith(".py") and tree.find(path, fixture)]
    said = next((p for p in ("pyproject.toml", *tree.matching("requirements*.txt"), "setup.cfg", "tox.ini")
                 if tree.find(p, r"pytest[-_]benchmark")), "")  # fmt: skip
    solutions = dict.fromkeys(path for test in tests for path in solutions_of(tree, test))
    if not tests or not said or not solutions:
        return None
    finding = Finding(Kind.BENCHMARKED, 0.78)
    why = (
        "the only module that the benchmarks import"
        if len(solutions) == 1
        else "modules that the benchmarks import"
    )
    finding = finding.with_fact(Fact.EDITABLE, tuple(solutions), tests[0], why, guess=len(solutions) > 1)
    where = " ".join(map(quoted, tests))
    command = (
        f"{{python}} -m pytest -q -p no:cacheprovider --benchmark-only --benchmark-json={_REPORT} {where}"
    )
    finding = finding.with_fact(Fact.COMMAND, command, said, "pytest-benchmark measures")
    finding = finding.with_fact(Fact.FILE, _REPORT, said, "pytest-benchmark writes it")
    finding = finding.with_fact(Fact.PROTECTED, tuple(tests), tests[0], "they measure")
    labels = [line.match[1] for path in tests for line in tree.find_all(path, fixture)]
    divided = any(tree.find(path, r"parametrize") for path in tests)
    finding = _with_time(finding, "pytest-benchmark", tests[0], () if divided else labels)
    checks = "{python} -m pytest -q -x -p no:cacheprovider --benchmark-skip"
    others = [
        path for path in tree.files if re.match(r"(.*/)?(test_\w+|\w+_test)\.py$", path) and path not in tests
    ]
    if others:
        finding = finding.with_fact(Fact.CHECKS, checks, others[0], "it is a test")
    return add_own_pace(add_surroundings(finding, tree, (*tests, *solutions)))
