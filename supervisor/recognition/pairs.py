"""A solution that may change, and a fixed evaluator: evaluate.py, bench.py, benchmark.sh and their like."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import PurePosixPath

from supervisor.recognition.finding import Fact, Finding, Kind
from supervisor.recognition.gates import add_gates
from supervisor.recognition.printed import DOCUMENTS, add_metric
from supervisor.recognition.surroundings import (
    add_own_pace,
    add_python_command,
    add_surroundings,
    add_timeout,
    quoted,
)
from supervisor.recognition.tree import Tree
from supervisor.text import parsed

_STEMS = "evaluate eval evaluator benchmark bench score measure run_eval run_benchmark".split()
_FOLDERS = ("", "scripts/", "bench/", "benchmarks/", "eval/")
EVALUATORS = tuple(f"{folder}{stem}{end}" for end in (".py", ".sh") for folder in _FOLDERS for stem in _STEMS)
# What is usually meant to change, the surest first; a module of another name is taken when it is the only one.
_SOLUTIONS = """solution solver candidate submission predict model strategy policy agent algorithm algo kernel
pack sort heuristic train main""".split()
_FIXED = re.compile(
    r"(^|_)(data|dataset|utils?|helpers?|common|config|prepare|generate\w*|metrics?|test\w*|conftest)$"
)
_JUDGES = re.compile(r"(^|/)(bench|eval|measure|score|run_(bench|eval))\w*\.\w+$")
_PYTEST = ("pyproject.toml", "requirements.txt", "requirements-dev.txt", "pytest.ini", "tox.ini", "setup.cfg")


def recognise(tree: Tree) -> Finding | None:
    """An evaluator, and the modules of the repository that it runs."""
    for evaluator in EVALUATORS:
        if evaluator in tree:
            finding = _pair(tree, evaluator)
            if finding is not None:
                return finding
    return None


def judges_of(tree: Tree, evaluator: str) -> tuple[str, ...]:
    """The evaluator, and what it runs that measures as well."""
    inner = (path for path in used_by(tree, evaluator) if path != evaluator and _JUDGES.search(path))
    return (evaluator, *inner)


def solutions_of(tree: Tree, evaluator: str) -> tuple[str, ...]:
    """The tracked files that the evaluator uses and that may be meant to change, the likeliest first."""
    judges = judges_of(tree, evaluator)
    used = [path for judge in judges for path in used_by(tree, judge) if path not in judges]
    fitting = [path for path in used if not _FIXED.search(PurePosixPath(path).stem.lower())]
    return tuple(sorted(dict.fromkeys(fitting), key=_rank))


def used_by(tree: Tree, script: str) -> list[str]:
    """The tracked files that a script imports, runs or names."""
    return _imported(tree, script) if script.endswith(".py") else _mentioned(tree, script)


def _pair(tree: Tree, evaluator: str) -> Finding | None:
    solutions = solutions_of(tree, evaluator)
    if not solutions:
        return None
    finding = Finding(Kind.PAIR, 0.8)
    return complete_pair(finding, tree, evaluator, solutions)


def complete_pair(finding: Finding, tree: Tree, evaluator: str, solutions: tuple[str, ...]) -> Finding:
    """The finding with all that an evaluator and its solutions tell."""
    clear = len(solutions) == 1 or (_rank(solutions[0]) < len(_SOLUTIONS) <= _rank(solutions[1]))
    others = f", as {', '.join(solutions[1:4])} {'are' if len(solutions) > 2 else 'is'}" if not clear else ""
    finding = finding.with_fact(
        Fact.EDITABLE, solutions[:1], evaluator, f"used by it{others}", guess=not clear
    )
    judges = judges_of(tree, evaluator)
    finding = finding.with_fact(Fact.PROTECTED, judges, evaluator, "it measures")
    if evaluator.endswith(".py"):
        finding = add_python_command(finding, tree, evaluator)
    else:
        finding = finding.with_fact(Fact.COMMAND, f"sh {quoted(evaluator)}", evaluator, "it measures")
        if "bash" in tree.text(evaluator).partition("\n")[0]:
            finding = finding.with_fact(Fact.COMMAND, f"bash {quoted(evaluator)}", evaluator, "it measures")
    finding = add_metric(finding, tree, (evaluator,))
    if not finding.metric and (inner := add_metric(finding, tree, judges)).metric:
        # What the outer script makes of it is its own.
        finding = replace(inner, guesses=inner.guesses | {Fact.METRIC})
    finding = add_gates(finding, tree, judges)
    finding = add_tests(add_timeout(finding, tree, DOCUMENTS[:1]), tree)
    return add_own_pace(add_surroundings(finding, tree, (evaluator, *solutions)))


def add_tests(finding: Finding, tree: Tree) -> Finding:
    """pytest as the checks, where there are tests and the repository says that it uses pytest."""
    tests = [path for path in tree.files if re.match(r"(.*/)?(test_\w+|\w+_test)\.py$", path)]
    for path in _PYTEST if tests else ():
        if (path == "pytest.ini" and path in tree) or (line := tree.find(path, r"\bpytest\b")):
            where = path if path == "pytest.ini" else line.where if line else path
            return finding.with_fact(Fact.CHECKS, "{python} -m pytest -q -x", where, f"{tests[0]} is a test")
    return finding


def _rank(path: str) -> int:
    stem = PurePosixPath(path).stem.lower()
    return _SOLUTIONS.index(stem) if stem in _SOLUTIONS else len(_SOLUTIONS)


def _imported(tree: Tree, script: str) -> list[str]:
    module = parsed(tree.text(script))
    if module is None:
        return []
    names: list[str] = []
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names += [base, *(f"{base}.{alias.name}" if base else alias.name for alias in node.names)]
    files = [path for name in names for path in _module_files(tree, script, name)]
    # A program may also be run, or its path named, rather than imported.
    return [*files, *(path for path in _mentioned(tree, script) if path not in files)]


def _module_files(tree: Tree, script: str, module: str) -> list[str]:
    inner = module.replace(".", "/")
    beside = str(PurePosixPath(script).parent)
    folders = dict.fromkeys(("", "src/", "" if beside == "." else f"{beside}/"))
    files = [f"{folder}{inner}.py" for folder in folders if inner and f"{folder}{inner}.py" in tree]
    packages = [f"{folder}{inner}/__init__.py" for folder in folders if inner]
    return files or [path for package in packages for path in _passed_on(tree, package)]


def _passed_on(tree: Tree, package: str) -> list[str]:
    """The package's own modules whose names its __init__ passes on."""
    module, folder = parsed(tree.text(package)), PurePosixPath(package).parent
    if module is None:
        return []
    sources = [
        (node.module or "").removeprefix("" if node.level else f"{folder.name}.")
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and node.level < 2
    ]
    paths = [f"{folder}/{source.replace('.', '/')}.py" for source in sources if source]
    return [path for path in dict.fromkeys(paths) if path in tree]


def _mentioned(tree: Tree, script: str) -> list[str]:
    words = re.findall(r"[\w./-]+\.\w+", tree.text(script))
    paths = [word.removeprefix("./") for word in words]
    sources = r"\.(py|js|ts|c|cc|cpp|rs|go|jl|R|sh)$"
    return [path for path in paths if path in tree and re.search(sources, path)]
