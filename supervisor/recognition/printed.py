"""Metric lines: those that source code will print, which of them is the metric, and those that a run has printed."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sessions.runs.benchmark_tools import (
    COUNT,
    GEOMEAN,
    BenchmarkReader,
    benchmarks_of,
    figures_by_name,
    labels_of,
)
from sessions.runs.log import without_escapes
from sessions.runs.metric_formats import (
    BENCHMARKS,
    DIALECTS,
    LINE_FORMS,
    LineReader,
    MetricFormat,
    all_figures,
    bare_number,
    json_object,
    last_json_object,
)
from supervisor.model.directions import direction_of
from supervisor.model.states import Direction
from supervisor.recognition.finding import Fact, Finding
from supervisor.recognition.surroundings import told_direction
from supervisor.recognition.tree import Tree
from supervisor.text import parsed

_SHOWN = {form.dialect: form.shown for form in LINE_FORMS} | {
    MetricFormat.JSON: "JSON with {}",
    MetricFormat.NUMBER: "a bare number last",
}


@dataclass(frozen=True, slots=True)
class PrintedName:
    """A name that is printed with a number."""

    name: str
    dialect: MetricFormat
    where: str
    in_block: bool = False  # of `name: number` lines: after a line ---

    @property
    def shown(self) -> str:
        """As a person would see it printed."""
        return f"{self.name}: … after ---" if self.in_block else _SHOWN[self.dialect].format(self.name)

    @property
    def rank(self) -> tuple[int, bool]:
        """The plainest statement first."""
        return DIALECTS.index(self.dialect), not self.in_block


@dataclass(frozen=True, slots=True)
class PrintedValue:
    """A number that a run printed under a name."""

    name: str
    dialect: MetricFormat
    value: float
    in_block: bool = False

    @property
    def printed_name(self) -> PrintedName:
        """Without its value."""
        return PrintedName(self.name, self.dialect, "", self.in_block)


_SOURCE = tuple((form.dialect, form.in_source()) for form in LINE_FORMS)
_PRINTS = re.compile(r"print|echo|log\(|write|puts|format!|cout|METRIC|EVAL_RESULT", re.I)
_BLOCK = re.compile(r"[\"']---(\\n)?[\"']")
_JSON_KEY = re.compile(r"[\"'](?P<name>[A-Za-z_]\w*)[\"']\s*:")
SINGLE_CASE = re.compile(  # a key of a record that tells of one case, which may fail while the whole is right
    r"[\"'](?:id|index|idx|i|case|task|question|prompt|example|sample|expected)(?:_id)?[\"']\s*:"
)
DOCUMENTS = ("program.md", "README.md", "research.md")
# Printed beside a metric, and never what is researched.
BYSTANDERS = frozenset(
    """step steps epoch epochs iter iteration seed device error warning usage note info debug wrong training_seconds
    total_seconds peak_vram_mb peak_memory_mb total_tokens_m num_steps num_params_m num_params n_params depth
    mfu_percent pass ok status version name file path config dataset elapsed_ms lr batch data_fingerprint""".split()
)


def printed_names(tree: Tree, paths: Iterable[str]) -> tuple[PrintedName, ...]:
    """The names that these files print with a number, the plainest statement first, then in order."""
    names: dict[tuple[str, tuple[int, bool]], PrintedName] = {}
    for path in paths:
        for entry in _names_in(tree, path):
            names.setdefault((entry.name, entry.rank), entry)
    return tuple(sorted(names.values(), key=lambda entry: entry.rank))


def choose(names: Sequence[PrintedName]) -> tuple[PrintedName, bool] | None:
    """The name that is most likely the metric, and whether there is no doubt; None without any."""
    candidates = [entry for entry in names if entry.name.lower() not in BYSTANDERS]
    best = [entry for entry in candidates if entry.rank == candidates[0].rank] if candidates else []
    if not best:
        return None
    if best[0].in_block:
        return best[0], True  # by custom the block begins with the metric
    if best[0].dialect is MetricFormat.JSON and (scores := [e for e in best if e.name == "score"]):
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
                blocked = in_block and dialect is MetricFormat.COLON
                names.append(PrintedName(match["name"], dialect, f"{path}:{number}", blocked))
                break
    if any("json.dump" in line or "JSON.stringify" in line for line in lines):
        for number, line in enumerate(lines, 1):
            keys = () if SINGLE_CASE.search(line) else _JSON_KEY.finditer(line)
            names += [PrintedName(key["name"], MetricFormat.JSON, f"{path}:{number}") for key in keys]
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
    return [PrintedName(name, MetricFormat.NUMBER, f"{path}:{last.lineno}")] if name else []


def _print_of_one(node: ast.AST) -> ast.Call | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
        return node if len(node.args) == 1 else None
    return None


_LONGEST_LINE = 1024
_LONGEST_REPORT = 2**16  # characters at the end of the output that a JSON report of many lines may take


@dataclass(frozen=True, slots=True)
class Output:
    """What a run printed, in every dialect."""

    values: tuple[PrintedValue, ...]  # by name, the plainest statement first, the last of each name
    benchmarks: tuple[str, ...]  # of a benchmark tool, by name
    lines: tuple[str, ...]


def read_output(output: str) -> Output:
    """Everything under a name that a run printed."""
    text = without_escapes(output)
    lines = [line for line in re.split(r"[\r\n]", text) if len(line) <= _LONGEST_LINE]
    values: dict[str, PrintedValue] = {}
    in_block, any_name, tools = False, LineReader(), BenchmarkReader()
    measured = [figure for line in lines for figure in tools.read(line)]
    for line in lines:
        in_block = in_block or line.strip() == "---"
        if figure := any_name.read(line):
            _keep(
                values,
                PrintedValue(figure[1], figure[0], figure[2], in_block and figure[0] is MetricFormat.COLON),
            )
    reports = [report for line in lines if (report := json_object(line.strip()))]
    if (last := last_json_object(text[-_LONGEST_REPORT:])) is not None:
        reports.append(last)
        measured += [] if measured else benchmarks_of(last)
    for report in reports:
        for name, value in all_figures(report).items():
            _keep(values, PrintedValue(name, MetricFormat.JSON, value))
    for name, (tool, value) in figures_by_name(measured).items():
        _keep(values, PrintedValue(name, tool, value))
    said = [line.strip() for line in lines if line.strip()]
    bare = bare_number(said[-1]) if said else None
    if not values and bare is not None and math.isfinite(bare):
        values[""] = PrintedValue("", MetricFormat.NUMBER, bare)
    ranked = sorted(values.values(), key=lambda entry: entry.printed_name.rank)
    return Output(tuple(ranked), labels_of(measured), tuple(said))


def choose_printed(output: Output) -> tuple[PrintedName, bool] | None:
    """The name that is most likely the metric among what a run printed, and whether there is no doubt."""
    if output.benchmarks:
        tool = next(entry for entry in output.values if entry.dialect in BENCHMARKS)
        several = len(output.benchmarks) > 1
        return PrintedName(GEOMEAN if several else output.benchmarks[0], tool.dialect, ""), not several
    named = [entry.printed_name for entry in output.values if entry.name]
    return choose(named)


def _keep(values: dict[str, PrintedValue], entry: PrintedValue) -> None:
    earlier = values.get(entry.name)
    better = earlier is None or entry.printed_name.rank <= earlier.printed_name.rank
    if math.isfinite(entry.value) and better and entry.name != COUNT:
        values[entry.name] = entry
