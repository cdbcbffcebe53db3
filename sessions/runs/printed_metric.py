"""Metrics among a run's output, however much is printed: what a lab without a referee is measured by."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sessions.processes.lines import Lines
from sessions.runs.benchmark_tools import BenchmarkFigure, BenchmarkReader, benchmarks_of, figures_by_name
from sessions.runs.log import without_escapes
from sessions.runs.metric_formats import (
    DIALECTS,
    FALLBACK_KEY,
    LONGEST_LINE,
    LineReader,
    MetricFormat,
    all_figures,
    bare_number,
    json_object,
    last_json_object,
)
from sessions.runs.metric_pattern import PatternReader

_LONGEST_WORD = 1024
_LINE_ENDS = b"\r\n"  # progress bars write over their line
_MOST_BENCHMARKS, _MOST_REPEATS = 1024, 512  # that are kept of one run
_MOST_VALUES = 16  # a run that prints more different ones has shown enough
_SAME = 1e-4  # two dialects that round differently still say the same


@dataclass(frozen=True, slots=True)
class Reading:
    """What a run's output says of its metrics."""

    value: float | None = None  # of the primary one; may be NaN or infinite, which is no metric
    dialect: MetricFormat | None = None  # that counted; None: the pattern did
    also: dict[str, float] = field(default_factory=dict)  # secondary figures by name; finite ones only
    others: tuple[tuple[MetricFormat, float], ...] = ()  # what other dialects say, where that differs
    refused: bool = False  # the JSON report that counted says "pass": false
    problem: str = ""  # why the pattern could not be read by


class PrintedMetric:
    """Takes output in as it comes and remembers the different values of `name: number` lines."""

    def __init__(self, name: str) -> None:
        self._line = re.compile(rf"\s*{re.escape(name)}:\s*(?P<value>[-+]?[\w.+-]+)\s*")
        self._lines = Lines(_LONGEST_WORD, _LINE_ENDS)
        self._values: list[str] = []

    def take(self, data: bytes) -> None:
        """Read the next piece of output."""
        for line in self._lines.take(data):
            self._read(line)

    def values(self) -> tuple[str, ...]:
        """The different values so far, as printed; the last line counts without its end too."""
        self._read(self._lines.pending)
        return tuple(self._values)

    def _read(self, line: bytes) -> None:
        if len(line) > _LONGEST_WORD or len(self._values) >= _MOST_VALUES:
            return
        match = self._line.fullmatch(without_escapes(line.decode("utf-8", "replace")))
        if match and match["value"] not in self._values:
            self._values.append(match["value"])


class MetricReader:
    """Takes output in as it comes and knows at any time what it says of the metrics, in any dialect."""

    def __init__(
        self,
        name: str,
        also: Sequence[str] = (),
        only: MetricFormat = MetricFormat.AUTO,
        pattern: str = "",
    ) -> None:
        self._name, self._also = name, dict.fromkeys(one for one in also if one != name)
        self._pattern = PatternReader(pattern) if pattern else None
        self._dialects = DIALECTS if only is MetricFormat.AUTO else (only,)
        self._reader = LineReader((name, *self._also))
        self._any = LineReader()
        self._marks = (b"METRIC", *(one.encode() for one in (name, *self._also)))
        self._lines = Lines(LONGEST_LINE, _LINE_ENDS)
        self._figures: dict[tuple[MetricFormat, str], float] = {}
        self._benchmarks = BenchmarkReader()
        self._measured: dict[tuple[str, str], list[BenchmarkFigure]] = {}
        self._report: dict[str, Any] = {}
        self._last = b""  # the last line that says anything
        self._end = b""  # the last LONGEST_LINE bytes

    def take(self, data: bytes) -> None:
        """Read the next piece of output."""
        self._end = (self._end + data)[-LONGEST_LINE:]
        lines = self._lines.take(data)
        for line in lines:
            self._read(line)
        if self._pattern is not None:
            self._pattern.read(_text(line) for line in lines if line)

    def take_file(self, text: str) -> None:
        """Read what the run wrote in a file: a JSON report, however long, or lines."""
        report = json_object(text.strip())
        if report is None:
            self.take(b"\n" + text.encode() + b"\n")
        else:
            self._take_report(report)

    def reading(self) -> Reading:
        """What it all says so far; the last line counts without its end too. Call it once, at the end."""
        self._read(self._lines.pending)
        self._read_end()
        for name, (tool, value) in figures_by_name(
            f for some in self._measured.values() for f in some
        ).items():
            if name == self._name or name in self._also:
                self._figures[tool, name] = value
        if self._pattern is not None:
            self._pattern.read([_text(self._lines.pending)])
            problem = "[metric] pattern takes too long on what was printed" if self._pattern.gave_up else ""
            refused = self._refuses(None)
            return Reading(self._pattern.value, None, self._secondary(), refused=refused, problem=problem)
        values = [
            (d, self._figures[d, self._name]) for d in self._dialects if (d, self._name) in self._figures
        ]
        if not values:
            return Reading(also=self._secondary(), refused=self._refuses(None))
        dialect, value = values[0]
        others = tuple((d, v) for d, v in values[1:] if d is not MetricFormat.NUMBER and not _alike(v, value))
        return Reading(value, dialect, self._secondary(), others, self._refuses(dialect))

    def _secondary(self) -> dict[str, float]:
        # Where several dialects have one, the most explicit comes last and counts.
        ranked = ((d, name) for d in reversed(DIALECTS) for name in self._also)
        figures = {name: self._figures[d, name] for d, name in ranked if (d, name) in self._figures}
        return {name: value for name, value in figures.items() if math.isfinite(value)}

    def _refuses(self, dialect: MetricFormat | None) -> bool:
        # An evaluator that answers in JSON may say that the edit did not pass, whatever the score.
        return dialect in (MetricFormat.JSON, None) and self._report.get("pass") is False

    def _read(self, line: bytes) -> None:
        if len(line) > LONGEST_LINE or not (line := line.rstrip()):
            self._last = line or self._last
            self._benchmark("")
            return
        self._last = line.lstrip()
        if self._last.startswith(b"{"):
            self._take_report(json_object(_text(self._last)))
            return
        if len(line) > _LONGEST_WORD:
            return
        if any(mark in line for mark in self._marks):
            self._say(_text(line))
        if b" " in line or b"\t" in line:
            self._benchmark(_text(line))

    def _say(self, text: str) -> None:
        if figure := self._reader.read(text):
            dialect, name, value = figure
            self._figures[dialect, name] = value
        elif (figure := self._any.read(text)) and figure[0] is MetricFormat.METRIC:
            # Who prints METRIC lines prints what is to be kept: those that nobody named too.
            if figure[1] not in self._also and len(self._also) < _MOST_VALUES:
                self._also[figure[1]] = None
            self._figures[figure[0], figure[1]] = figure[2]

    def _benchmark(self, text: str) -> None:
        for figure in self._benchmarks.read(text):
            some = self._measured.setdefault((figure.label, figure.stat), [])
            if len(self._measured) <= _MOST_BENCHMARKS and len(some) < _MOST_REPEATS:
                some.append(figure)

    def _read_end(self) -> None:
        self._take_report(last_json_object(_text(self._end.replace(b"\r", b"\n"))), again=True)
        value = bare_number(_text(self._last)) if len(self._last) <= _LONGEST_WORD else None
        if value is not None:
            self._figures[MetricFormat.NUMBER, self._name] = value

    def _take_report(self, report: dict[str, Any] | None, *, again: bool = False) -> None:
        if report is None:
            return
        said = all_figures(report)
        figures = {name: said[name] for name in (self._name, *self._also) if name in said}
        if self._name not in figures and FALLBACK_KEY in said:
            figures[self._name] = said[FALLBACK_KEY]
        if self._name in figures or "pass" in report:
            self._report = report
        for name, value in figures.items():
            self._figures[MetricFormat.JSON, name] = value
        if not (again and self._measured):
            for figure in benchmarks_of(report):
                self._measured.setdefault((figure.label, figure.stat), []).append(figure)


def is_rounded(printed: str, reported: float) -> bool:
    """Whether `printed` is `reported`, rounded to as many decimals as it shows. Words are no numbers."""
    try:
        value = float(printed)
    except ValueError:
        return True
    mantissa, _, exponent = printed.lower().partition("e")
    decimals = len(mantissa.partition(".")[2]) - (int(exponent) if exponent.lstrip("+-").isdigit() else 0)
    return abs(value - reported) <= 0.5000001 * 10.0**-decimals


def _alike(one: float, other: float) -> bool:
    return one == other or math.isclose(one, other, rel_tol=_SAME) or (math.isnan(one) and math.isnan(other))


def _text(data: bytes) -> str:
    return without_escapes(data.decode("utf-8", "replace"))
