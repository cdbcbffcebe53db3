"""How a line of output says a metric: the dialects of the labs that print theirs. Pure.

Where a run prints more than one dialect, the most explicit one counts, in the order of `MetricFormat`; within a
dialect the last line does. What is printed may be anything: NaN and infinity are read, and are never a metric.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

LONGEST_LINE = 65536  # bytes; a longer one is no report
_MOST_OPENINGS = 256  # lines that may open the last JSON object, tried from the end
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,4})?|[-+]?(?:nan|inf|infinity)"
_BARE = re.compile(_NUMBER, re.IGNORECASE)
FALLBACK_KEY = "score"  # what a JSON report calls its metric where it does not know the name


class MetricFormat(StrEnum):
    """`[metric] format`; all but "auto" are dialects, the most explicit first."""

    AUTO = "auto"  # whichever of the others is printed
    METRIC = "metric"  # METRIC name=number, METRIC:name=number
    EVAL_RESULT = "eval-result"  # EVAL_RESULT: name=number
    COLON = "colon"  # name: number, upstream's block after --- above all
    JSON = "json"  # an object with the metric's name as a key, else "score"; a line, or the last lines
    NUMBER = "number"  # the last line is a number and nothing else


DIALECTS = tuple(one for one in MetricFormat if one is not MetricFormat.AUTO)


class LineReader:
    """Reads single lines for a set of names."""

    def __init__(self, names: Iterable[str]) -> None:
        either_name = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
        patterns = {
            MetricFormat.METRIC: rf"METRIC\b\s*:?\s*(?P<name>{either_name})\s*=\s*(?P<value>{_NUMBER})",
            MetricFormat.EVAL_RESULT: rf"EVAL_RESULT\b\s*:?\s*(?P<name>{either_name})\s*=\s*(?P<value>{_NUMBER})",
            MetricFormat.COLON: rf"(?P<name>{either_name}):\s*(?P<value>{_NUMBER})",
        }
        self._patterns = {dialect: re.compile(text, re.IGNORECASE) for dialect, text in patterns.items()}
        self._names = frozenset(names)

    def read(self, line: str) -> tuple[MetricFormat, str, float] | None:
        """The dialect, the name and the number of a line without escapes; None for any other line."""
        line = line.strip()
        for dialect, pattern in self._patterns.items():
            match = pattern.fullmatch(line)
            # Names are told apart by case, the other words are not.
            if match and match["name"] in self._names:
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


def figures_in(report: Mapping[str, Any], names: Iterable[str]) -> dict[str, float]:
    """The numbers of a JSON report by name: top-level keys, then those below "metrics"."""
    below = report.get("metrics")
    parts = (below if isinstance(below, dict) else {}, report)
    values = ((name, number_of(part.get(name))) for part in parts for name in names)
    return {name: value for name, value in values if value is not None}


def number_of(value: object) -> float | None:
    """A JSON number as a float, infinite where it is too large for one; True and "1" are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
