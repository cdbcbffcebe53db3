"""Metrics among a run's output, however much is printed: what a lab without a referee is measured by."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sessions.processes.lines import Lines
from sessions.runs.log import without_escapes
from sessions.runs.metric_formats import (
    DIALECTS,
    FALLBACK_KEY,
    LONGEST_LINE,
    LineReader,
    MetricFormat,
    bare_number,
    figures_in,
    json_object,
    last_json_object,
)

_LONGEST_WORD = 1024
_LINE_ENDS = b"\r\n"  # progress bars write over their line
_MOST_VALUES = 16  # a run that prints more different ones has shown enough
_SAME = 1e-4  # two dialects that round differently still say the same


@dataclass(frozen=True, slots=True)
class Reading:
    """What a run's output says of its metrics."""

    value: float | None = None  # of the primary one; may be NaN or infinite, which is no metric
    dialect: MetricFormat | None = None  # that counted
    also: dict[str, float] = field(default_factory=dict)  # secondary figures by name; finite ones only
    others: tuple[tuple[MetricFormat, float], ...] = ()  # what other dialects say, where that differs
    refused: bool = False  # the JSON report that counted says "pass": false


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

    def __init__(self, name: str, also: Sequence[str] = (), only: MetricFormat = MetricFormat.AUTO) -> None:
        self._name, self._also = name, tuple(one for one in also if one != name)
        self._dialects = DIALECTS if only is MetricFormat.AUTO else (only,)
        self._reader = LineReader((name, *self._also))
        self._marks = tuple(one.encode() for one in (name, *self._also))
        self._lines = Lines(LONGEST_LINE, _LINE_ENDS)
        self._figures: dict[tuple[MetricFormat, str], float] = {}
        self._report: dict[str, Any] = {}
        self._last = b""  # the last line that says anything
        self._end = b""  # the last LONGEST_LINE bytes

    def take(self, data: bytes) -> None:
        """Read the next piece of output."""
        self._end = (self._end + data)[-LONGEST_LINE:]
        for line in self._lines.take(data):
            self._read(line)

    def reading(self) -> Reading:
        """What it all says so far; the last line counts without its end too. Call it once, at the end."""
        self._read(self._lines.pending)
        self._read_end()
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
        ranked = ((d, name) for d in reversed(self._dialects) for name in self._also)
        figures = {name: self._figures[d, name] for d, name in ranked if (d, name) in self._figures}
        return {name: value for name, value in figures.items() if math.isfinite(value)}

    def _refuses(self, dialect: MetricFormat | None) -> bool:
        # An evaluator that answers in JSON may say that the edit did not pass, whatever the score.
        return dialect in (MetricFormat.JSON, None) and self._report.get("pass") is False

    def _read(self, line: bytes) -> None:
        if len(line) > LONGEST_LINE or not (line := line.strip()):
            self._last = line or self._last
            return
        self._last = line
        if line.startswith(b"{"):
            self._take_report(json_object(_text(line)))
            return
        may_say = len(line) <= _LONGEST_WORD and any(mark in line for mark in self._marks)
        if may_say and (figure := self._reader.read(_text(line))):
            dialect, name, value = figure
            self._figures[dialect, name] = value

    def _read_end(self) -> None:
        self._take_report(last_json_object(_text(self._end.replace(b"\r", b"\n"))))
        value = bare_number(_text(self._last)) if len(self._last) <= _LONGEST_WORD else None
        if value is not None:
            self._figures[MetricFormat.NUMBER, self._name] = value

    def _take_report(self, report: dict[str, Any] | None) -> None:
        if report is None:
            return
        figures = figures_in(report, (self._name, *self._also))
        if self._name not in figures:
            fallback = figures_in(report, (FALLBACK_KEY,))
            figures |= {self._name: fallback[FALLBACK_KEY]} if fallback else {}
        if self._name in figures or "pass" in report:
            self._report = report
        for name, value in figures.items():
            self._figures[MetricFormat.JSON, name] = value


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
