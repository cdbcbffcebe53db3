"""Gates: what fields of a run's output must say for its score to count. Pure.

A field is read as people print it: `name: PASS`, `name=1`, `| name | 3.5 ms |`, a key of a JSON object on one line or
several, or of JSON lines. A field that is missing is no pass.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sessions.processes.lines import Lines
from sessions.runs.contract import Gate
from sessions.runs.log import without_escapes
from sessions.runs.number_text import NUMBER, number_of_text

_LONGEST_LINE = 65536
_LONGEST_QUOTE = 120
_MOST_LINES = 64  # lines that say one field differently; a run that prints more has shown enough
_LINE_ENDS = b"\r\n"
_MOST_IN_A_LINE = 64  # fields
_TRUE, _FALSE = frozenset({"true", "yes"}), frozenset({"false", "no"})
# A benchmark's judgement of the whole run, on a line of its own: believed where no gate asks for it.
_JUDGED_WRONG = re.compile(
    rb"\W*(?P<name>correctness|verification|validation)\s*[:=]\W*(?:fail|false|wrong|incorrect|invalid|mismatch)",
    re.IGNORECASE,
)
_JUDGED = "judged wrong: "  # before the name of such a judgement


@dataclass(frozen=True, slots=True)
class FieldLine:
    """A line that says a field."""

    value: str  # the first word of it, or its number
    whole: str  # the value with all that follows it
    line: str  # for people


@dataclass(frozen=True, slots=True)
class ClosedGate:
    """Why the score of a run does not count."""

    reason: str  # quotes the field
    missing: bool = False  # it was not printed at all


class FieldReader:
    """Takes output in as it comes and remembers what it says of a few fields."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = {name.lower(): name for name in names}
        either_name = (
            "|".join(re.escape(name) for name in sorted(self._names, key=len, reverse=True)) or r"(?!)"
        )
        self._mark = re.compile(either_name.encode(), re.IGNORECASE)
        self._field = re.compile(
            rf"(?<![\w.])[\"']?(?P<name>{either_name})[\"']?[ \t]*(?:[:|]|=(?!=))[ \t]*(?P<value>\S.*)",
            re.IGNORECASE,
        )
        self._lines = Lines(_LONGEST_LINE, _LINE_ENDS)
        self._said: dict[str, list[FieldLine]] = {}

    def take(self, data: bytes) -> None:
        """Read the next piece of output."""
        for line in self._lines.take(data):
            self._read(line)

    def said(self, figures: Mapping[str, float] | None = None) -> dict[str, tuple[FieldLine, ...]]:
        """The lines of each field so far, the last one last; the last line counts without its end too.

        `figures`: those that the output has as another dialect's, which no line says by itself.
        """
        self._read(self._lines.pending)
        lines = {
            name: (FieldLine(repr(n), repr(n), f"{name}: {n:.6g}"),) for name, n in (figures or {}).items()
        }
        return lines | {name: tuple(said) for name, said in self._said.items()}

    def _read(self, data: bytes) -> None:
        if len(data) > _LONGEST_LINE:
            return
        if judged := _JUDGED_WRONG.match(data):
            name, line = judged["name"].decode().lower(), _plain(data)
            self._keep(f"{_JUDGED}{name}", FieldLine(line, line, _quoted(line, 0)))
        if not self._mark.search(data):
            return
        line = _plain(data)
        start = 0
        for _ in range(_MOST_IN_A_LINE):
            if not (match := self._field.search(line, start)):
                return
            said = FieldLine(*_value_of(match["value"]), _quoted(line, match.start()))
            self._keep(self._names[match["name"].lower()], said)
            start = match.start("value")

    def _keep(self, name: str, said: FieldLine) -> None:
        lines = self._said.setdefault(name, [])
        twin = next((one for one in lines if one.whole == said.whole), None)
        if twin is not None:
            lines.remove(twin)
        elif len(lines) >= _MOST_LINES:
            lines.pop()
        lines.append(said)


def figures_said(said: Mapping[str, Sequence[FieldLine]]) -> dict[str, float]:
    """The number of each field's last line, for those that have one: `0.12 ms` and `60 %` are numbers too."""
    numbers = {name: number_of_text(lines[-1].value) for name, lines in said.items()}
    return {name: value for name, value in numbers.items() if value is not None and math.isfinite(value)}


def closed_gate(gates: Sequence[Gate], said: Mapping[str, Sequence[FieldLine]]) -> ClosedGate | None:
    """The first gate that keeps the score from counting, those that were printed before those that were not."""
    named = {f"{_JUDGED}{gate.name.lower()}" for gate in gates}
    closed = [_closed(gate, said.get(gate.name, ())) for gate in gates]
    closed += [
        ClosedGate(f"it printed “{lines[-1].line}”")
        for name, lines in said.items()
        if name.startswith(_JUDGED) and name not in named
    ]
    return min((one for one in closed if one is not None), key=lambda one: one.missing, default=None)


def _closed(gate: Gate, lines: Sequence[FieldLine]) -> ClosedGate | None:
    must = f"{gate.name} must {gate.condition}"
    if not lines:
        return ClosedGate(f"gate {gate.name}: it printed no {gate.name}; {must}", missing=True)
    bad = None
    if gate.equals is not None:
        bad = next((one for one in lines if not _says(one, gate.equals)), None)
    value = number_of_text(lines[-1].value)
    low, high = gate.least, gate.most
    # NaN is beyond every limit.
    inside = value is not None and (low is None or value >= low) and (high is None or value <= high)
    if bad is None and not inside and (low is not None or high is not None):
        bad = lines[-1]
    return ClosedGate(f"gate {gate.name}: it printed “{bad.line}”; {must}") if bad else None


def _says(said: FieldLine, wanted: str) -> bool:
    value, wanted = said.value.lower(), wanted.lower().strip()
    if value == wanted or said.whole.lower() == wanted or said.whole.lower().startswith(f"{wanted} "):
        return True
    number, wanted_number = number_of_text(value), number_of_text(wanted)
    if number is not None and wanted_number is not None:
        return number == wanted_number
    return _truth(value) is not None and _truth(value) == _truth(wanted)


def _truth(word: str) -> bool | None:
    if word in _TRUE or number_of_text(word) == 1:
        return True
    return False if word in _FALSE or number_of_text(word) == 0 else None


def _value_of(rest: str) -> tuple[str, str]:
    rest = rest.strip()
    if rest[:1] in "\"'" and (quoted := re.match(r"([\"'])(.*?)\1", rest)):
        return quoted[2].strip(), quoted[2].strip()
    number = NUMBER.match(rest)
    word = number[0] if number else re.split(r"[\s,;|}\])]", rest, maxsplit=1)[0]
    return word.strip(".!:"), rest.rstrip(" ,;|}").rstrip(".")


def _plain(data: bytes) -> str:
    return without_escapes(data.decode("utf-8", "replace"))


def _quoted(line: str, start: int) -> str:
    if len(line) > _LONGEST_QUOTE:
        line = line[max(0, start - 1) : max(0, start - 1) + _LONGEST_QUOTE] + "…"
    return " ".join(line.split())
