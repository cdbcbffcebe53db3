"""Projects that are built before they are measured: make, CMake, Cargo, Go, npm."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from sessions.runs.metric_formats import json_object
from supervisor.model.states import Direction
from supervisor.recognition.benchmarks import add_benchmark, unread_tool
from supervisor.recognition.finding import Fact, Finding, Kind
from supervisor.recognition.gates import add_gates
from supervisor.recognition.printed import add_metric
from supervisor.recognition.surroundings import add_own_pace, add_surroundings
from supervisor.recognition.tree import Tree

_MOST_FILES = 12
_MEASURES = r"bench(?:mark)?s?|perf|measure"
_GO_BENCHMARK = r"^func Benchmark\w+\("
_SOURCES = re.compile(r"\.(c|cc|cpp|cxx|cu|rs|go|zig|js|mjs|ts)$")
_NOT_SOLUTIONS = re.compile(
    r"(^|/|_|-|\.)(bench\w*|perf\w*|measure\w*|tests?|spec|vendor|third_party|node_modules|dist|build|examples?|"
    r"main_test|config)(/|_|-|\.)",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Build:
    """How one build system measures here."""

    command: str
    where: str
    why: str
    build: str = ""  # what builds without measuring, where the two are apart
    measure: str = ""  # what measures once that is built; "": the command
    checks: str = ""
    checks_where: str = ""


def recognise(tree: Tree) -> Finding | None:
    """The first build system that knows how to measure."""
    build = next(filter(None, (look(tree) for look in _SYSTEMS)), None)
    if build is None:
        return None
    finding = Finding(Kind.COMPILED, 0.75)
    finding = finding.with_fact(Fact.COMMAND, build.command, build.where, build.why)
    finding = _add_sources(finding, tree)
    measuring = [path for path in tree.files if _SOURCES.search(path) and re.search(_MEASURES, path, re.I)]
    mains = [path for path in tree.files if PurePosixPath(path).stem == "main" and _SOURCES.search(path)]
    judges = tuple(dict.fromkeys((build.where.partition(":")[0], *measuring[:3])))
    finding = finding.with_fact(Fact.PROTECTED, judges, build.where, "it measures")
    finding = add_metric(finding, tree, (*measuring, *mains, *tree.matching("*.sh"), *finding.editable))
    finding = add_gates(finding, tree, (*measuring, *mains))
    if not finding.metric:
        benches = [path for path in tree.files if _SOURCES.search(path) and path not in finding.editable]
        finding = add_benchmark(finding, tree, (*measuring, *benches, build.where.partition(":")[0]))
    if not finding.metric and (unread := unread_tool(tree, (*measuring, *mains))):
        tool, where = unread
        finding = finding.with_caution(
            f"{where}: {tool} takes as long however fast the code is, so its time is no metric: "
            "--try shows what it prints, [metric] pattern reads it"
        )
    elif not finding.metric:
        finding = _timed(finding, build)
    if build.checks:
        finding = finding.with_fact(Fact.CHECKS, build.checks, build.checks_where, "must pass before a run")
    return add_own_pace(add_surroundings(finding, tree, measuring))


def _timed(finding: Finding, build: Build) -> Finding:
    """Nothing prints a metric: how long the measuring takes, the build left out where it can be."""
    first = f"{build.build} && " if build.build else ""
    timed = f'{first}TIMEFORMAT="seconds: %R" && time {build.measure or build.command}'
    command = f"bash -c {shlex.quote(timed)}"
    finding = finding.with_fact(
        Fact.COMMAND, command, build.where, "nothing printed is a metric: it is timed"
    )
    finding = finding.with_fact(Fact.METRIC, "seconds", build.where, "how long it takes")
    finding = finding.with_fact(Fact.DIRECTION, Direction.LOWER, "", "less time is better")
    if not build.build:
        finding = finding.with_caution(
            "what is built is timed as well; time the program by itself with --command"
        )
    return finding.with_caution(
        "run time on a shared machine is noisy; a bench that prints a count is steadier"
    )


def _add_sources(finding: Finding, tree: Tree) -> Finding:
    sources = [path for path in tree.files if _SOURCES.search(path) and not _NOT_SOLUTIONS.search(f"/{path}")]
    inner = _benchmarked_packages(tree, sources)
    inner = (
        inner
        or [path for path in sources if path.startswith(("src/", "lib/", "internal/", "pkg/"))]
        or sources
    )
    apart = [path for path in inner if PurePosixPath(path).stem != "main"] or inner
    if not apart:
        return finding
    if len(apart) > _MOST_FILES:
        return finding.with_caution(f"{len(apart)} source files could be meant; name those that may change")
    why = "the one source that is not the bench" if len(apart) == 1 else "the sources that are not the bench"
    others = any(path not in apart and PurePosixPath(path).stem != "main" for path in sources)
    return finding.with_fact(Fact.EDITABLE, tuple(apart), apart[0], why, guess=len(apart) > 1 or others)


def _benchmarked_packages(tree: Tree, sources: Iterable[str]) -> list[str]:
    """The sources that lie beside Go's benchmarks: these measure the package that they are in."""
    tests = (path for path in tree.files if path.endswith("_test.go"))
    packages = {PurePosixPath(path).parent for path in tests if tree.find(path, _GO_BENCHMARK)}
    return [path for path in sources if path.endswith(".go") and PurePosixPath(path).parent in packages]


def _make(tree: Tree) -> Build | None:
    file = tree.first(("Makefile", "makefile", "GNUmakefile"))
    line = tree.find(file, rf"^(?P<target>{_MEASURES})\s*:(?!=)(?P<needs>[\w./ \t-]*)$") if file else None
    line = line or (tree.find(file, rf"^(?P<target>{_MEASURES})\s*:(?!=)(?P<needs>)") if file else None)
    if file is None or line is None:
        return None
    tests = tree.find(file, r"^(?P<target>test|check)\s*:(?!=)")
    builds = tree.find(file, r"^(?P<target>all|build)\s*:(?!=)")
    targets = builds.match["target"] if builds else " ".join(line.match["needs"].split())
    return Build(
        command=f"make -s {line.match['target']}",
        where=line.where,
        why="the target builds and measures",
        build=f"make -s {targets}" if targets else "",
        checks=f"make -s {tests.match['target']}" if tests else "",
        checks_where=tests.where if tests else "",
    )


def _cmake(tree: Tree) -> Build | None:
    pattern = rf"add_(?:executable|custom_target)\s*\(\s*(?P<target>\w*(?:{_MEASURES})\w*)"
    line = tree.find("CMakeLists.txt", pattern)
    if line is None:
        return None
    target, folder = line.match["target"], "build-lab"
    build = f"cmake -S . -B {folder} -DCMAKE_BUILD_TYPE=Release && cmake --build {folder} --target {target}"
    if "custom_target" in line.match[0]:
        whole, run = f"sh -c '{build}'", f"cmake --build {folder} --target {target}"
        build = build.removesuffix(f" --target {target}")
    else:
        run = f"{folder}/{target}"
        whole = f"sh -c '{build} && {run}'"
    return Build(whole, line.where, "the target builds, its program measures", build, run)


def _cargo(tree: Tree) -> Build | None:
    program = tree.first(tuple(f"src/bin/{name}.rs" for name in ("bench", "benchmark", "perf", "measure")))
    checks = "cargo test --offline --quiet"
    if "Cargo.toml" in tree and program:
        run = f"cargo run --offline --quiet --release --bin {PurePosixPath(program).stem}"
        return Build(
            run,
            program,
            "the program measures",
            "cargo build --offline --quiet --release",
            checks=checks,
            checks_where=program,
        )
    benches = tree.matching("benches/*.rs")
    if "Cargo.toml" in tree and benches:
        run = "cargo bench --offline --quiet"
        return Build(
            run, benches[0], "cargo's benches", f"{run} --no-run", checks=checks, checks_where=benches[0]
        )
    return None


def _go(tree: Tree) -> Build | None:
    if "go.mod" not in tree:
        return None
    program = next((p for p in tree.files if re.match(rf"(cmd/)?({_MEASURES})/main\.go$", p)), None)
    if program:
        return Build(f"go run ./{PurePosixPath(program).parent}", program, "the program measures",
                     "go build ./...", checks="go test ./...", checks_where="go.mod")  # fmt: skip
    for path in tree.files:
        if path.endswith("_test.go") and (line := tree.find(path, _GO_BENCHMARK)):
            return Build("go test -run NONE -bench . ./...", line.where, "its benchmarks",
                         "go build ./...", checks="go test ./...", checks_where="go.mod")  # fmt: skip
    return None


def _npm(tree: Tree) -> Build | None:
    scripts = (json_object(tree.text("package.json").strip()) or {}).get("scripts", {})
    names = [name for name in scripts if re.fullmatch(_MEASURES, name)] if isinstance(scripts, dict) else []
    if not names:
        return None
    line = tree.find("package.json", rf"\"{names[0]}\"\s*:")
    return Build(
        command=f"npm run --silent {names[0]}",
        where=line.where if line else "package.json",
        why="the script measures",
        build="npm run --silent build" if "build" in scripts else "",
        checks="npm test --silent" if "test" in scripts else "",
        checks_where="package.json",
    )


_SYSTEMS: tuple[Callable[[Tree], Build | None], ...] = (_make, _cmake, _cargo, _go, _npm)
