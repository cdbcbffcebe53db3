"""How output says a metric: the one list of dialects, by which runs are read and sources are searched. Pure.

Where a run prints more than one dialect, the most explicit one counts, in the order of `MetricFormat`; within a
dialect the last line does. What is printed may be anything: NaN and infinity are read, and are never a metric.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

LONGEST_LINE = 65536  # bytes; a longer one is no report
_MOST_OPENINGS = 256  # lines that may open the last JSON object, tried from the end
_DEEPEST = 3  # objects within objects in which a JSON report is searched
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,4})?|[-+]?(?:nan|inf|infinity)"
_BARE = re.compile(_NUMBER, re.IGNORECASE)
# As people name what they print: `val_bpb`, `µs/op`, `pass@1`, `Test accuracy`.
ANY_NAME = r"[A-Za-z_µ][\w.µ/@-]{0,60}(?: [A-Za-z(][\w.µ/()%-]{0,30}){0,3}"
# What stands for the number in a source: ${x}, {x}, %f, "$x", or the string's end.
_HOLE = r"[ \t]*(?:\$|\{|%|\"|')"
FALLBACK_KEY = "score"  # what a JSON report calls its metric where it does not know the name


class MetricFormat(StrEnum):
    """`[metric] format`; all but "auto" are dialects, the most explicit first."""

    AUTO = "auto"  # whichever of the others is printed
    METRIC = "metric"  # METRIC name=number, METRIC:name=number
    EVAL_RESULT = "eval-result"  # EVAL_RESULT: name=number
    COLON = "colon"  # name: number, upstream's block after --- above all
    JSON = "json"  # an object with the metric's name as a key, else "score"; a line, or the last lines
    PER_OPERATION = "per-operation"  # BenchmarkParse-8  1203  984231 ns/op: Go, cargo bench
    CRITERION = "criterion"  # name  time: [1.20 ms 1.21 ms 1.22 ms]
    HYPERFINE = "hyperfine"  # Time (mean ± σ): 104.5 ms ± 3.1 ms, or its JSON
    PYTEST = "pytest-benchmark"  # the table under Name (time in ms), or its JSON
    GOOGLE = "google-benchmark"  # BM_Set/1024  8312 ns  8290 ns  84000, or its JSON
    NUMBER = "number"  # the last line is a number and nothing else


DIALECTS = tuple(one for one in MetricFormat if one is not MetricFormat.AUTO)
BENCHMARKS = frozenset(
    {
        MetricFormat.PER_OPERATION,
        MetricFormat.CRITERION,
        MetricFormat.HYPERFINE,
        MetricFormat.PYTEST,
        MetricFormat.GOOGLE,
    }
)


@dataclass(frozen=True, slots=True)
class LineForm:
    """A dialect in which one line says one number by its name."""

    dialect: MetricFormat
    shown: str  # for people, {} being the name
    before: str  # patterns of what stands around the name
    between: str
    opening: str  # of a source's string

    def printed(self, name: str) -> re.Pattern[str]:
        """The whole of such a line, for names that this pattern matches."""
        text = rf"{self.before}(?P<name>{name}){self.between}\s*(?P<value>{_NUMBER})"
        return re.compile(text, re.IGNORECASE)

    def in_source(self) -> re.Pattern[str]:
        """What prints such a line."""
        return re.compile(rf"{self.opening}{self.before}(?P<name>{ANY_NAME}){self.between}{_HOLE}")


LINE_FORMS = (
    LineForm(MetricFormat.METRIC, "METRIC {}=…", r"METRIC\b\s*:?\s*", r"\s*=", ""),
    LineForm(MetricFormat.EVAL_RESULT, "EVAL_RESULT: {}=…", r"EVAL_RESULT\b\s*:?\s*", r"\s*=", ""),
    LineForm(MetricFormat.COLON, "{}: …", "", r":", r"[\"'`](?:\\[nt]|[ \t])*"),
)


class LineReader:
    """Reads single lines for a set of names, or for any name."""

    def __init__(self, names: Iterable[str] | None = None) -> None:
        self._names = None if names is None else frozenset(names)
        longest_first = sorted(self._names or (), key=len, reverse=True)
        either_name = "|".join(re.escape(name) for name in longest_first) if longest_first else ANY_NAME
        self._patterns = {form.dialect: form.printed(either_name) for form in LINE_FORMS}

    def read(self, line: str) -> tuple[MetricFormat, str, float] | None:
        """The dialect, the name and the number of a line without escapes; None for any other line."""
        line = line.strip()
        for dialect, pattern in self._patterns.items():
            match = pattern.fullmatch(line)
            # Names are told apart by case, the other words are not.
            if match and (self._names is None or match["name"] in self._names):
                return dialect, match["name"], number_in(match["value"])
        return None


def number_in(text: str) -> float:
    """The number that `_NUMBER` matched; one too large for a float is infinite."""
    return float(text)


def bare_number(line: str) -> float | None:
    """The number that is all of the line."""
    return number_in(line.strip()) if _BARE.fullmatch(line.strip()) else None


def json_object(text: str) -> dict[str, Any] | None:
    """The object that is all of the text."""
    if not text.startswith("{") or not text.endswith("}"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def last_json_object(text: str) -> dict[str, Any] | None:
    """The object, on one line or several, that the text ends with."""
    text = text.rstrip()
    if not text.endswith("}"):
        return None
    openings = [match.start() for match in re.finditer(r"^[ \t]*\{", text, re.MULTILINE)]
    objects = (json_object(text[start:].lstrip()) for start in reversed(openings[-_MOST_OPENINGS:]))
    return next((value for value in objects if value is not None), None)


def all_figures(report: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a JSON report by name: its own keys, those below "metrics", and others as `part.key`."""
    figures = dict(_figures_below(report, "", 0))
    below = report.get("metrics")
    own = {name: value for name, value in figures.items() if "." not in name}
    return figures | (dict(_figures_below(below, "", 0)) if isinstance(below, dict) else {}) | own


def _figures_below(report: Mapping[str, Any], path: str, depth: int) -> Iterator[tuple[str, float]]:
    for key, value in report.items():
        if isinstance(value, dict) and depth < _DEEPEST:
            yield from _figures_below(value, f"{path}{key}.", depth + 1)
        elif (number := number_of(value)) is not None:
            yield f"{path}{key}", number


def number_of(value: object) -> float | None:
    """A JSON number as a float, infinite where it is too large for one; True and "1" are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
