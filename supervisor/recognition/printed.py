"""Metric lines: those that source code will print, which of them is the metric, and those that a run has printed."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from sessions.runs.log import without_escapes
from sessions.runs.metric_formats import bare_number, json_object, last_json_object, number_of
from supervisor.model.directions import direction_of
from supervisor.model.states import Direction
from supervisor.recognition.finding import Fact, Finding
from supervisor.recognition.surroundings import told_direction
from supervisor.recognition.tree import Tree
from supervisor.text import parsed


class Dialect(IntEnum):
    """How a metric is printed, the plainest statement first."""

    METRIC = 0  # METRIC name=number
    METRIC_COLON = 1  # METRIC:name=number
    EVAL_RESULT = 2  # EVAL_RESULT: name=number
    BLOCK = 3  # name: number, after a line ---
    NAMED = 4  # name: number
    JSON = 5  # an object with a score
    BARE = 6  # nothing but a number, last


SHOWN_AS = {
    Dialect.METRIC: "METRIC {}=…",
    Dialect.METRIC_COLON: "METRIC:{}=…",
    Dialect.EVAL_RESULT: "EVAL_RESULT: {}=…",
    Dialect.BLOCK: "{}: … after ---",
    Dialect.NAMED: "{}: …",
    Dialect.JSON: "JSON with {}",
    Dialect.BARE: "a bare number last",
}


@dataclass(frozen=True, slots=True)
class PrintedName:
    """A name that code prints with a number."""

    name: str
    dialect: Dialect
    where: str

    @property
    def shown(self) -> str:
        """As a person would see it printed."""
        return SHOWN_AS[self.dialect].format(self.name)


@dataclass(frozen=True, slots=True)
class PrintedValue:
    """A number that a run printed under a name."""

    name: str
    dialect: Dialect
    value: float


_NAME = r"(?P<name>[A-Za-z_µ][\w.µ/-]{0,60})"
# What stands for the number in the source: ${x}, {x}, %f, "$x", or the string's end.
_HOLE = r"(?:\$|\{|%|\"|')"
_SOURCE = (
    (Dialect.METRIC, re.compile(rf"METRIC[ \t]+{_NAME}={_HOLE}")),
    (Dialect.METRIC_COLON, re.compile(rf"METRIC:{_NAME}={_HOLE}")),
    (Dialect.EVAL_RESULT, re.compile(rf"EVAL_RESULT:[ \t]*{_NAME}={_HOLE}")),
    # f"name: {x}", printf("name: %d"), `name: ${x}`, print("name:", x), echo "name: $x"
    (Dialect.NAMED, re.compile(rf"[\"'`]{_NAME}:(?:[ \t]*(?:\$?\{{|%|\$)|[\"'][ \t]*,)")),
)
_PRINTS = re.compile(r"print|echo|log\(|write|puts|format!|cout|METRIC|EVAL_RESULT", re.I)
_BLOCK = re.compile(r"[\"']---(\\n)?[\"']")
_JSON_KEY = re.compile(r"[\"'](?P<name>[A-Za-z_]\w*)[\"']\s*:")
DOCUMENTS = ("program.md", "README.md", "research.md")
# Printed beside a metric, and never what is researched.
BYSTANDERS = frozenset(
    """step steps epoch epochs iter iteration seed device error warning usage note info debug wrong training_seconds
    total_seconds peak_vram_mb peak_memory_mb total_tokens_m num_steps num_params_m num_params n_params depth
    mfu_percent pass ok status version name file path config dataset elapsed_ms lr batch data_fingerprint""".split()
)


def printed_names(tree: Tree, paths: Iterable[str]) -> tuple[PrintedName, ...]:
    """The names that these files print with a number, the plainest statement first, then in order."""
    names: dict[tuple[str, Dialect], PrintedName] = {}
    for path in paths:
        for entry in _names_in(tree, path):
            names.setdefault((entry.name, entry.dialect), entry)
    return tuple(sorted(names.values(), key=lambda entry: entry.dialect))


def choose(names: Sequence[PrintedName]) -> tuple[PrintedName, bool] | None:
    """The name that is most likely the metric, and whether there is no doubt; None without any."""
    candidates = [entry for entry in names if entry.name.lower() not in BYSTANDERS]
    best = [entry for entry in candidates if entry.dialect is candidates[0].dialect] if candidates else []
    if not best:
        return None
    if best[0].dialect is Dialect.BLOCK:
        return best[0], True  # by custom the block begins with the metric
    if best[0].dialect is Dialect.JSON and (scores := [e for e in best if e.name == "score"]):
        return scores[0], True
    telling = [entry for entry in best if direction_of(entry.name).sure]
    return (telling or best)[0], len({entry.name for entry in telling or best}) == 1


def add_metric(finding: Finding, tree: Tree, paths: Iterable[str]) -> Finding:
    """The metric that these files print, if they do, and its direction."""
    names = printed_names(tree, paths)
    choice = choose(names)
    if choice is None:
        return finding
    entry, sure = choice
    finding = finding.with_fact(Fact.METRIC, entry.name, entry.where, f"prints {entry.shown}", guess=not sure)
    return add_direction(finding, tree)


def add_direction(finding: Finding, tree: Tree, documents: Iterable[str] = DOCUMENTS) -> Finding:
    """The direction by what a document says of the metric, else by its name; a guess when neither tells."""
    statement = told_direction(tree, finding.metric, documents)
    if statement is not None:
        word, where = statement
        return finding.with_fact(Fact.DIRECTION, Direction(word), where, "said there")
    guess = direction_of(finding.metric)
    return finding.with_fact(Fact.DIRECTION, guess.direction, "", guess.why, guess=not guess.sure)


def _names_in(tree: Tree, path: str) -> list[PrintedName]:
    names, in_block = [], False
    lines = tree.text(path).splitlines()
    for number, line in enumerate(lines, 1):
        if not _PRINTS.search(line) or line.lstrip().startswith(("#", "//", "*")):
            continue
        in_block = in_block or bool(_BLOCK.search(line))
        for dialect, pattern in _SOURCE:
            if match := pattern.search(line):
                actual = Dialect.BLOCK if in_block and dialect is Dialect.NAMED else dialect
                names.append(PrintedName(match["name"], actual, f"{path}:{number}"))
                break
    if any("json.dump" in line or "JSON.stringify" in line for line in lines):
        for number, line in enumerate(lines, 1):
            keys = _JSON_KEY.finditer(line)
            names += [PrintedName(key["name"], Dialect.JSON, f"{path}:{number}") for key in keys]
    return names or _bare_name(tree, path)


def _bare_name(tree: Tree, path: str) -> list[PrintedName]:
    """`print(mse)` as the last thing a Python file prints."""
    if not path.endswith(".py"):
        return []
    module = parsed(tree.text(path))
    calls = [call for node in ast.walk(module) if (call := _print_of_one(node))] if module else []
    if not calls:
        return []
    last = max(calls, key=lambda call: call.lineno)
    value = last.args[0]
    if isinstance(value, ast.JoinedStr) and len(value.values) == 1:
        part = value.values[0]
        value = part.value if isinstance(part, ast.FormattedValue) else value
    name = value.id if isinstance(value, ast.Name) else ""
    return [PrintedName(name, Dialect.BARE, f"{path}:{last.lineno}")] if name else []


def _print_of_one(node: ast.AST) -> ast.Call | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
        return node if len(node.args) == 1 else None
    return None


_NUMBER = r"(?P<value>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_OUTPUT = (
    (Dialect.METRIC, re.compile(rf"\s*METRIC[ \t]+{_NAME}[ \t]*=[ \t]*{_NUMBER}\s*")),
    (Dialect.METRIC_COLON, re.compile(rf"\s*METRIC:{_NAME}[ \t]*=[ \t]*{_NUMBER}\s*")),
    (Dialect.EVAL_RESULT, re.compile(rf"\s*EVAL_RESULT:[ \t]*{_NAME}[ \t]*=[ \t]*{_NUMBER}\s*")),
    (Dialect.NAMED, re.compile(rf"\s*{_NAME}:\s*{_NUMBER}\s*")),
)
_LONGEST_LINE = 1024
_LONGEST_REPORT = 2**16  # characters at the end of the output that a JSON report of many lines may take


def printed_values(output: str) -> tuple[PrintedValue, ...]:
    """The numbers that a run printed under names, the plainest statement first, the last of each name."""
    values: dict[str, PrintedValue] = {}
    in_block, last = False, ""
    text = without_escapes(output)
    for line in re.split(r"[\r\n]+", text):
        if len(line) > _LONGEST_LINE or not line.strip():
            continue
        last, in_block = line, in_block or line.strip() == "---"
        for entry in _values_in(line, in_block):
            _keep(values, entry)
    for entry in _figures(last_json_object(text[-_LONGEST_REPORT:]) or {}):
        _keep(values, entry)
    bare = bare_number(last)
    if not values and bare is not None and math.isfinite(bare):
        return (PrintedValue("", Dialect.BARE, bare),)
    return tuple(sorted(values.values(), key=lambda entry: entry.dialect))


def _keep(values: dict[str, PrintedValue], entry: PrintedValue) -> None:
    earlier = values.get(entry.name)
    if math.isfinite(entry.value) and (earlier is None or entry.dialect <= earlier.dialect):
        values[entry.name] = entry


def _values_in(line: str, in_block: bool) -> list[PrintedValue]:
    for dialect, pattern in _OUTPUT:
        if match := pattern.fullmatch(line):
            actual = Dialect.BLOCK if in_block and dialect is Dialect.NAMED else dialect
            return [PrintedValue(match["name"], actual, float(match["value"]))]
    return _figures(json_object(line.strip()) or {})


def _figures(report: Mapping[str, Any]) -> list[PrintedValue]:
    numbers = ((name, number_of(value)) for name, value in report.items())
    return [PrintedValue(name, Dialect.JSON, value) for name, value in numbers if value is not None]
