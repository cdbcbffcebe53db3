"""Lines that nearly say a metric, and the pattern that would read them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sessions.runs.log import without_escapes
from sessions.runs.metric_formats import LineReader

_LONGEST_LINE = 1024
_LONGEST_QUOTE = 120
_MOST_NAMES = 5
_NUMBER = r"[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+]?\.\d+(?:[eE][-+]?\d+)?"
_GROUP = r"([-+.,\deE]+)"  # what a suggested pattern takes for the number
_BETWEEN = r"(?:[ \t]*\([^()]{0,40}\))?[\"'*`]*[ \t]*(?:->|[:=|→>]+|is\b)?[ \t]*[\"'$]?"
# Programs choose these by the size of the number: 1.01ms, and 987µs once it is faster.
_UNIT = r"(?:[nuµμm]?s|secs?|seconds?|mins?|minutes?|[kKMGT]i?B)(?:/s)?"
_VALUE = rf"(?P<number>{_NUMBER})(?:[ \t]?(?P<unit>{_UNIT})(?![\w/]|[ \t]*[=:])|(?![\w.]))"
_ANY = re.compile(
    rf"(?<![\w.])(?P<name>[A-Za-z_]\w*(?:@\d+)?(?:[ -][A-Za-z]\w*){{0,2}})(?P<between>{_BETWEEN}){_VALUE}"
)


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A line with a number under a name, as no dialect prints it."""

    name: str  # as printed
    line: str  # for people
    pattern: str  # that reads the number


def near_miss(lines: Iterable[str], name: str) -> NearMiss | None:
    """The last line that has the metric's name and a number behind it, however it is spelt."""
    words = r"[ _-]?".join(re.escape(word) for word in re.split(r"[ _-]+", name) if word) or re.escape(name)
    pattern = re.compile(rf"(?<![\w.])(?P<name>{words})(?P<between>{_BETWEEN}){_VALUE}", re.IGNORECASE)
    last = None
    for line in lines:
        if len(line) <= _LONGEST_LINE and (match := pattern.search(without_escapes(line))):
            last = _miss(match)
    return last


def numbers_by_name(lines: Iterable[str]) -> tuple[NearMiss, ...]:
    """Every name with a number behind it, the last line of each."""
    found: dict[str, NearMiss] = {}
    for line in lines:
        if len(line) <= _LONGEST_LINE:
            for match in _ANY.finditer(without_escapes(line)):
                found[match["name"]] = _miss(match)
    return tuple(found.values())


def why_absent(output: str, name: str) -> str:
    """What the output has instead of the metric, in words; "" when it has no number under a name."""
    lines = re.split(r"[\r\n]+", output)
    if miss := near_miss(lines, name):
        return f" (saw “{miss.line}”, nearly a {name}): write [metric] pattern = '{miss.pattern}'"
    reader = LineReader()
    said = dict.fromkeys(
        one[1] for line in lines if len(line) <= _LONGEST_LINE and (one := reader.read(line))
    )
    names = ", ".join(list(said)[-_MOST_NAMES:])
    return f"; it printed {names}" if names else ""


def _miss(match: re.Match[str]) -> NearMiss:
    words = r"\s*".join(re.escape(part) for part in match["between"].split())
    between = rf"\s*{words}\s*" if words else r"\s+"
    name = re.sub(r"\\([ -])", r"\1", re.escape(match["name"]))
    line = " ".join(match.string.split())
    if len(line) > _LONGEST_QUOTE:
        line = f"…{' '.join(match.string[match.start() : match.start() + _LONGEST_QUOTE].split())}"
    # A number in another unit would be compared as if it were in this one.
    unit = rf"\s*{re.escape(match['unit'])}\b" if match["unit"] else ""
    return NearMiss(match["name"], line, f"{name}{between}{_GROUP}{unit}")
