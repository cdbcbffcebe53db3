"""What the usual benchmark tools print, or write as JSON: Go, cargo, criterion, hyperfine, pytest-benchmark, Google's,
benchmark.js and vitest.

Each calibrates itself, so the time that it takes says nothing; what counts is the time of one operation, brought to one
unit whatever is printed: nanoseconds, and seconds for hyperfine and pytest-benchmark, as their JSON has it.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sessions.runs.metric_formats import MetricFormat, number_of

GEOMEAN = "geomean"  # of the times of all benchmarks of a run
COUNT = "benchmarks"  # how many there are
_NUMBER = r"\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?"
_NS = {"ps": 1e-3, "ns": 1.0, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 6e10}
_UNIT = rf"(?:{'|'.join(_NS)})"
_PER_OP = re.compile(r"(?P<label>[^\s:|]\S*)\s+[\d,]+\s+(?P<rest>\S.*\S)")
_PER_OP_PAIR = re.compile(rf"(?<![\w.])(?P<value>{_NUMBER})\s+(?P<unit>[A-Za-zµ%][\w%]*/[A-Za-z]\w*)")
_CARGO = re.compile(rf"test (?P<label>.+?)\s+\.\.\. bench:\s+(?P<value>{_NUMBER}) ns/iter.*")
_CRITERION = re.compile(
    rf"(?P<label>.*?)\s*time:\s+\[{_NUMBER} {_UNIT} (?P<value>{_NUMBER}) (?P<unit>{_UNIT}) {_NUMBER} {_UNIT}\]"
)
_HYPERFINE_HEAD = re.compile(r"Benchmark (?:#\d+|\d+): (?P<label>.+)")
_HYPERFINE = re.compile(rf"\s*Time \((?P<how>mean|abs)[^)]*\):\s+(?P<value>{_NUMBER}) (?P<unit>{_UNIT})\b.*")
_HYPERFINE_RANGE = re.compile(
    rf"\s*Range \(min … max\):\s+(?P<min>{_NUMBER}) (?P<unit>{_UNIT}) … (?P<max>{_NUMBER}) (?P<unit2>{_UNIT})\b.*"
)
_PYTEST_HEAD = re.compile(rf"Name \(time in (?P<unit>{_UNIT})\)\s+(?P<columns>Min\b.*)")
_PYTEST_ROW = re.compile(r"(?P<label>\S.*?)\s+(?P<figures>(?:[\d.,;]+(?:\s+|$)){3,})")
_IN_BRACKETS = re.compile(r"\(\S+?\)")
_GOOGLE = re.compile(
    rf"(?P<label>\S+)\s+(?P<time>{_NUMBER}) (?P<unit>{_UNIT})\s+(?P<cpu>{_NUMBER}) (?P<unit2>{_UNIT})\s+\d+\b.*"
)
_PER_SECOND = re.compile(rf"(?P<label>\S.*?) x (?P<value>{_NUMBER}) ops/sec\b.*")  # benchmark.js
_VITEST_HEAD = re.compile(r"name\s+hz\s+min\s+max\s+mean\b.*")
_VITEST_ROW = re.compile(rf"(?:· )?(?P<label>\S.*?)\s+(?P<value>{_NUMBER})(?:\s+{_NUMBER}){{4,}}\s+±.*")
_AGGREGATE = re.compile(r"(?P<label>.+)_(?P<stat>mean|median|stddev|cv|min|max|BigO|RMS)$")
_SPREADS = frozenset("stddev cv min max BigO RMS".split())
_STATS = ("mean", "median", "stddev", "min", "max")
_MOST = 512  # figures that are kept of one benchmark


@dataclass(frozen=True, slots=True)
class BenchmarkFigure:
    """One number of one benchmark; among its others one is the time of an operation."""

    tool: MetricFormat
    label: str
    stat: str
    value: float


# What is the time of an operation, the best statistic first.
_PRIMARY = ("ns/op", "time", "median", "mean")


class BenchmarkReader:
    """Reads the lines of a run one by one; a line means what the lines before it say."""

    def __init__(self) -> None:
        self._before = ""  # criterion puts a long name on the line before its time
        self._command = "command"
        self._pytest: tuple[float, list[str]] | None = None
        self._vitest = False  # the head of its table was seen

    def read(self, line: str) -> Iterator[BenchmarkFigure]:
        """The figures of one line without escapes."""
        text, before = line.strip(), self._before
        self._before = text
        if match := _PYTEST_HEAD.match(text):
            columns = _IN_BRACKETS.sub("", match["columns"]).lower().split()
            self._pytest = (_NS[match["unit"]] / 1e9, columns)
        elif self._pytest is not None and text and not text.startswith("-"):
            yield from self._pytest_row(text, *self._pytest)
        elif not text:
            self._pytest = None
        elif match := _PER_SECOND.fullmatch(text) or (_VITEST_ROW.fullmatch(text) if self._vitest else None):
            yield from _per_second(match["label"], match["value"])
        elif _VITEST_HEAD.fullmatch(text):
            self._vitest = True
        elif "/op" in text or "/iter" in text:
            yield from _per_operation(text)
        elif match := _CRITERION.match(text):
            label = match["label"] or before
            if label and not label.startswith("Benchmarking"):
                yield BenchmarkFigure(
                    MetricFormat.CRITERION, label, "time", _in_ns(match["value"], match["unit"])
                )
        elif match := _HYPERFINE_HEAD.fullmatch(text):
            self._command = match["label"]
        elif match := _HYPERFINE.fullmatch(text):
            yield self._hyperfine("mean", match["value"], match["unit"])
        elif match := _HYPERFINE_RANGE.fullmatch(text):
            yield self._hyperfine("min", match["min"], match["unit"])
            yield self._hyperfine("max", match["max"], match["unit2"])
        elif match := _GOOGLE.fullmatch(text):
            times = {"time": (match["time"], match["unit"]), "cpu": (match["cpu"], match["unit2"])}
            yield from _google(match["label"], {stat: _in_ns(*figure) for stat, figure in times.items()})

    def _hyperfine(self, stat: str, value: str, unit: str) -> BenchmarkFigure:
        return BenchmarkFigure(MetricFormat.HYPERFINE, self._command, stat, _in_ns(value, unit) / 1e9)

    def _pytest_row(self, text: str, unit_s: float, columns: list[str]) -> Iterator[BenchmarkFigure]:
        match = _PYTEST_ROW.fullmatch(_IN_BRACKETS.sub(" ", text).strip() + " ")
        if match is None:
            return
        for column, figure in zip(columns, match["figures"].split(), strict=False):
            if column in _STATS and (value := _number(figure)) is not None:
                yield BenchmarkFigure(MetricFormat.PYTEST, match["label"].strip(), column, value * unit_s)


def benchmarks_of(report: Mapping[str, Any]) -> list[BenchmarkFigure]:
    """The figures of a JSON report of hyperfine, pytest-benchmark or Google Benchmark."""
    figures: list[BenchmarkFigure] = []
    for entry in _records(report.get("benchmarks")):
        label, unit = str(entry.get("name", "")), str(entry.get("time_unit", "ns"))
        stats = entry.get("stats")
        if isinstance(stats, dict):
            numbers = {stat: number_of(stats.get(stat)) for stat in _STATS}
            figures += [
                BenchmarkFigure(MetricFormat.PYTEST, label, k, v) for k, v in numbers.items() if v is not None
            ]
        elif (time := number_of(entry.get("real_time"))) is not None and unit in _NS:
            cpu = number_of(entry.get("cpu_time"))
            times = {"time": time * _NS[unit], **({} if cpu is None else {"cpu": cpu * _NS[unit]})}
            figures += _google(label, times)
    for entry in _records(report.get("results")):
        command = entry.get("command")
        numbers = {stat: number_of(entry.get(stat)) for stat in _STATS}
        if isinstance(command, str) and numbers["mean"] is not None:
            known = {stat: value for stat, value in numbers.items() if value is not None}
            figures += [BenchmarkFigure(MetricFormat.HYPERFINE, command, k, v) for k, v in known.items()]
    return figures


def figures_by_name(figures: Iterable[BenchmarkFigure]) -> dict[str, tuple[MetricFormat, float]]:
    """All that the figures are called by: NAME, NAME:STAT, STAT where there is one benchmark, geomean, benchmarks.

    What was measured several times counts as its median.
    """
    several: dict[tuple[str, str], list[float]] = defaultdict(list)
    tools: dict[str, MetricFormat] = {}
    for one in figures:
        tools.setdefault(one.label, one.tool)
        if len(several[one.label, one.stat]) < _MOST and math.isfinite(one.value):
            several[one.label, one.stat].append(one.value)
    stats: dict[str, dict[str, float]] = defaultdict(dict)
    for (label, stat), values in several.items():
        if values:
            stats[label][stat] = statistics.median(values)
    named: dict[str, tuple[MetricFormat, float]] = {}
    times = {}
    for label, own in stats.items():
        primary = next((stat for stat in _primary_of(tools[label]) if stat in own), None)
        if primary is None:
            continue
        times[label] = own[primary]
        named |= {f"{label}:{stat}": (tools[label], value) for stat, value in own.items()}
        named |= {stat: (tools[label], value) for stat, value in own.items()} if len(stats) == 1 else {}
        named[label] = (tools[label], own[primary])
    if times and min(times.values()) > 0:
        tool = tools[next(iter(times))]
        named[GEOMEAN] = (tool, statistics.geometric_mean(times.values()))
        named[COUNT] = (tool, float(len(times)))
    return named


def labels_of(figures: Iterable[BenchmarkFigure]) -> tuple[str, ...]:
    """The benchmarks by name, in order."""
    return tuple(dict.fromkeys(one.label for one in figures if one.stat in _primary_of(one.tool)))


def _primary_of(tool: MetricFormat) -> tuple[str, ...]:
    return ("mean",) if tool is MetricFormat.HYPERFINE else _PRIMARY


def _per_operation(text: str) -> Iterator[BenchmarkFigure]:
    tool = MetricFormat.PER_OPERATION
    if match := _CARGO.fullmatch(text):
        value = _number(match["value"])
        if value is not None:
            yield BenchmarkFigure(tool, match["label"], "ns/op", value)
        return
    match = _PER_OP.fullmatch(text)
    pairs = list(_PER_OP_PAIR.finditer(match["rest"])) if match else []
    if match is None or not any(pair["unit"].removesuffix("/op") in _NS for pair in pairs):
        return
    # Go adds the number of its threads, and leaves it away for one.
    label = re.sub(r"-\d+$", "", match["label"]) if match["label"].startswith("Benchmark") else match["label"]
    for pair in pairs:
        value, unit = _number(pair["value"]), pair["unit"]
        if value is not None and unit.endswith("/op") and unit.removesuffix("/op") in _NS:
            yield BenchmarkFigure(tool, label, "ns/op", value * _NS[unit.removesuffix("/op")])
        elif value is not None:
            yield BenchmarkFigure(tool, label, unit, value)


def _per_second(label: str, value: str) -> Iterator[BenchmarkFigure]:
    if rate := _number(value):
        yield BenchmarkFigure(MetricFormat.PER_OPERATION, label, "ns/op", 1e9 / rate)


def _google(label: str, times: Mapping[str, float]) -> Iterator[BenchmarkFigure]:
    aggregate = _AGGREGATE.fullmatch(label)
    if aggregate is None:
        yield from (BenchmarkFigure(MetricFormat.GOOGLE, label, stat, value) for stat, value in times.items())
    elif aggregate["stat"] not in _SPREADS:
        yield BenchmarkFigure(MetricFormat.GOOGLE, aggregate["label"], aggregate["stat"], times["time"])


def _records(value: object) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _in_ns(value: str, unit: str) -> float:
    return float(value.replace(",", "")) * _NS[unit]


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None
