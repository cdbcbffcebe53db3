"""`[metric] pattern`: a regular expression of the person's, kept from holding up the run that it reads."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from sessions.runs.number_text import number_of_text

_LONGEST_LINE = 4096  # characters
_LONGEST_PATTERN = 500
_MOST_S = 0.5  # CPU time for one piece of output


def problem_of(pattern: str) -> str:
    """What is wrong with a pattern, with the position; "" when nothing is."""
    if len(pattern) > _LONGEST_PATTERN:
        return f"is longer than {_LONGEST_PATTERN} characters"
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        return f"is no regular expression: {error.msg} at position {error.pos}"
    except (RecursionError, OverflowError):
        return "is no regular expression that can be read"
    if compiled.groups != 1:
        return f"must have one (group), which is the number; it has {compiled.groups}"
    return ""


class PatternReader:
    """Searches lines for the number that a pattern's one group matches; the last one counts."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern)
        self.value: float | None = None
        self.gave_up = False  # the pattern took too long on what was printed

    def read(self, lines: Iterable[str]) -> None:
        """Read the next lines without escapes."""
        if self.gave_up:
            return
        try:
            with _ended_after(_MOST_S):
                for line in lines:
                    match = self._pattern.search(line[:_LONGEST_LINE])
                    value = number_of_text(match[1]) if match and match[1] is not None else None
                    self.value = self.value if value is None else value
        except _TooSlowError:
            self.gave_up = True


class _TooSlowError(Exception):
    """The timer went off."""


@contextmanager
def _ended_after(cpu_s: float) -> Iterator[None]:
    """End what takes longer: the engine of `re` looks for signals while it matches."""
    before = signal.signal(signal.SIGVTALRM, _ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _ring(_number: int, _frame: FrameType | None) -> None:
    raise _TooSlowError
