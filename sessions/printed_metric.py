"""Metric lines among a run's output: every `name: number` line, however much is printed."""

from __future__ import annotations

import re

from sessions.run_log import without_escapes

_LONGEST_LINE = 1024
_MOST_VALUES = 16  # a run that prints more different ones has shown enough


class PrintedMetric:
    """Takes output in as it comes and remembers the different values that were printed."""

    def __init__(self, name: str) -> None:
        self._line = re.compile(rf"\s*{re.escape(name)}:\s*(?P<value>[-+]?[\w.+-]+)\s*")
        self._pending = b""
        self._values: list[str] = []

    def take(self, data: bytes) -> None:
        """Read the next piece of output."""
        *lines, rest = re.split(rb"[\r\n]", self._pending + data)
        for line in lines:
            self._read(line)
        self._pending = rest[: _LONGEST_LINE + 1]

    def values(self) -> tuple[str, ...]:
        """The different values so far, as printed; the last line counts without its end too."""
        self._read(self._pending)
        return tuple(self._values)

    def _read(self, line: bytes) -> None:
        if len(line) > _LONGEST_LINE or len(self._values) >= _MOST_VALUES:
            return
        found = self._line.fullmatch(without_escapes(line.decode("utf-8", "replace")))
        if found and found["value"] not in self._values:
            self._values.append(found["value"])


def is_rounded(printed: str, reported: float) -> bool:
    """Whether `printed` is `reported`, rounded to as many decimals as it shows. Words are no numbers."""
    try:
        value = float(printed)
    except ValueError:
        return True
    mantissa, _, exponent = printed.lower().partition("e")
    decimals = len(mantissa.partition(".")[2]) - (int(exponent) if exponent.lstrip("+-").isdigit() else 0)
    return abs(value - reported) <= 0.5000001 * 10.0**-decimals
