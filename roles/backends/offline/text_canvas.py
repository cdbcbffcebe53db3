"""Knobs of a canvas that is no Python: numbers that a line gives a name. C, C++, Rust, Go, a settings file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

_NUMBER = (
    r"(?P<value>[-+]?(?:0[xX][0-9a-fA-F]+|\d[\d_]*\s*<<\s*\d+|(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?))"
    r"(?P<suffix>(?:[uUlLfF]{1,3}|[iuf](?:8|16|32|64|128|size))?)"
)
_END = r"\s*\)?\s*;?\s*,?\s*(?:(?://|/\*|#|--)(?P<comment>.*?)(?:\*/)?\s*)?"
_TYPES = r"(?:[A-Za-z_][\w<>]*(?:::[\w<>]+)*\s+)*"
_FORMS = (
    # #define NAME 8
    rf"[ \t]*#[ \t]*define[ \t]+(?P<name>[A-Za-z_]\w*)[ \t]+\(?[ \t]*{_NUMBER}{_END}",
    # const NAME: usize = 8;   static constexpr int NAME = 8;   pub const NAME …   NAME = 8   NAME := 8
    rf"{_TYPES}(?P<name>[A-Za-z_]\w*)\s*(?::\s*[A-Za-z_]\w*\s*)?(?::=|=|:)\s*\(?\s*{_NUMBER}{_END}",
)
_LINES = tuple(re.compile(form) for form in _FORMS)
_LONGEST_LINE = 400
_LARGEST_SHIFT = 62


@dataclass(frozen=True, slots=True)
class NamedNumber:
    """One number that a line gives a name, with its place in the text, in characters."""

    name: str
    value: int | float
    start: int
    end: int
    comment: str


def named_numbers(text: str) -> tuple[NamedNumber, ...]:
    """Every number that is given a name once; one that is given twice depends on what a reader cannot see."""
    numbers = list(_numbers(text))
    times = Counter(number.name for number in numbers)
    return tuple(number for number in numbers if times[number.name] == 1)


def _numbers(text: str) -> Iterator[NamedNumber]:
    at = 0
    for line in text.splitlines(keepends=True):
        body = line.rstrip("\r\n")
        match = next((m for form in _LINES if (m := form.fullmatch(body))), None) if _is_short(body) else None
        if match and (value := _value(match["value"], match["suffix"])) is not None:
            start = at + match.start("value")
            comment = (match["comment"] or "").strip()
            yield NamedNumber(match["name"], value, start, at + match.end("value"), comment)
        at += len(line)


def _is_short(line: str) -> bool:
    return len(line) <= _LONGEST_LINE


def _value(text: str, suffix: str) -> int | float | None:
    digits = text.replace("_", "")
    if "<<" in digits:
        base, shift = (int(part) for part in digits.split("<<"))
        return base << shift if shift <= _LARGEST_SHIFT else None
    if digits.lstrip("+-")[:2] in ("0x", "0X"):
        return int(digits, 16)
    whole = re.fullmatch(r"[-+]?\d+", digits)
    if whole and not re.fullmatch(r"[fF]|f\d+", suffix):
        return None if re.match(r"[-+]?0\d", digits) else int(digits)  # octal: no size of anything
    return float(digits)
