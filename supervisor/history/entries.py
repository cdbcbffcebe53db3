"""What a line of a history says: which of its columns is the metric, how it ended, what was changed. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sessions.runs.number_text import number_of_text
from supervisor.model.directions import direction_of
from supervisor.model.records import RawLine
from supervisor.model.states import Direction

# Words for how an experiment ended, by ours; what is in none of them is no experiment.
_STATUS = {
    "keep": "keep kept baseline accept accepted improved better success keep_(reworked)".split(),
    "discard": "discard discarded revert reverted skip skipped no-op rejected worse neutral dropped regressed".split(),
    "crash": "crash crashed checks_failed timeout failed fail error hook-blocked invalid wrong oom".split(),
}
_WORDS = {word.replace("_", " "): status for status, words in _STATUS.items() for word in words}
_WORDS["checks_failed"] = "crash"
_STATUS_COLUMNS = ("status", "verdict", "decision", "outcome", "result", "action")
_KEPT_COLUMNS = ("kept", "keep", "accepted", "is_keep")  # of yes and no
# Whether the result is right, which is not whether it was kept.
_RIGHT_COLUMNS = ("correctness", "correct", "ok", "pass", "passed", "valid", "success", "verified")
_YES = frozenset("yes true 1 1.0 y pass passed ok correct valid ✓ ✔ ✅".split())
_NO = frozenset(
    "no false 0 0.0 n fail failed error wrong incorrect invalid mismatch ✗ ✘ ❌ crash timeout".split()
)
_MEMORY_MB = {"memory_gb": 1024.0, "memory_mb": 1.0, "peak_vram_mb": 1.0}
_TEXTS = (
    "description",
    "change",
    "idea",
    "hypothesis",
    "title",
    "summary",
    "name",
    "notes",
    "note",
    "comment",
    "what",
)
_COMMITS = ("commit", "sha", "hash", "id", "experiment", "exp", "iteration", "iter", "run", "#")
_NAMED = ("metric", "after", "score", "value")  # a column that only says that it is the metric
_NO_METRIC = frozenset(
    """id # n no num number index exp experiment experiment_id run run_id trial round iteration iter step epoch seed
    delta guard timestamp ts time tag date at branch agent parent author before domain seconds duration duration_s
    training_seconds total_seconds cost_usd usd lines tokens type segment confidence rank generation""".split()
).union(_MEMORY_MB, _TEXTS, _COMMITS, _STATUS_COLUMNS, _KEPT_COLUMNS, _RIGHT_COLUMNS)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line, by column."""

    number: int  # of the line in the file, from 1
    values: dict[str, str]

    def get(self, names: Sequence[str]) -> str | None:
        """The first of these columns that the line has, whatever its case."""
        lowered = {name.lower(): value for name, value in self.values.items()}
        return next((lowered[name] for name in names if name in lowered), None)


def metric_of(columns: Sequence[str], entries: Sequence[Entry], lab: str, named: str) -> str | None:
    """The column that is the metric; None where there is none with a number in it."""
    lowered = {name.lower(): name for name in reversed(columns)}
    explicit = [column for column in (lab, named) if column in columns]
    explicit += [lowered[name] for name in _NAMED if name in lowered]
    others = [name for name in columns if name and name.lower() not in _NO_METRIC]
    # What a name tells a direction of is measured; of others the first column of numbers is taken.
    telling = [name for name in others if direction_of(name).sure]
    numbers = (one for one in (*explicit, *others[:1], *telling, *others) if _has_numbers(one, entries))
    return next(numbers, None)


def tells_experiments(columns: Sequence[str]) -> bool:
    """Whether there is a column of how they ended, or of what they were."""
    known = (*_STATUS_COLUMNS, *_KEPT_COLUMNS, *_RIGHT_COLUMNS, *_TEXTS)
    return any(name.lower() in known for name in columns)


def ending_of(entry: Entry) -> str | None:
    """keep, discard or crash; "" where it only says that the result is right; None: it is no experiment."""
    right = entry.get(_RIGHT_COLUMNS)
    if right is not None and _first_word(right) in _NO:
        return "crash"
    if (word := entry.get(_STATUS_COLUMNS)) is not None:
        lowered = " ".join(word.lower().split())
        if lowered in _WORDS:
            return _WORDS[lowered]
        if lowered in _YES | _NO or number_of_text(lowered) is None:
            return "" if lowered in _YES else "crash" if lowered in _NO else None
    if (kept := entry.get(_KEPT_COLUMNS)) is not None:
        return "keep" if _first_word(kept) in _YES else "discard" if _first_word(kept) in _NO else None
    return ""


def lines_of(
    columns: Sequence[str], entries: Sequence[Entry], metric: str, way: Direction | None
) -> tuple[RawLine, ...]:
    """The usable lines; where nothing says what was kept, it is what was better than all before."""
    # Where a crash is written as a score of nothing, nothing is no score.
    zero_is_none = way is Direction.LOWER and any(name.lower() == "memory_gb" for name in columns)
    lines: list[RawLine] = []
    best: float | None = None
    for entry in entries:
        ending, value = ending_of(entry), number_in(entry, metric)
        usable = value is not None and not (zero_is_none and value <= 0)
        if ending is None or (ending != "crash" and not usable):
            continue
        if ending == "":
            sign = way.sign if way else 0.0
            ending = "keep" if best is None or sign * (value or 0.0) > sign * best else "discard"
        score = None if ending == "crash" else value
        best = score if ending == "keep" else best
        lines.append(
            RawLine(entry.number, _commit(entry), score, _memory_gb(entry), ending, entry.get(_TEXTS) or "")
        )
    return tuple(lines)


def number_in(entry: Entry, column: str) -> float | None:
    """The finite number in that column."""
    value = number_of_text(entry.values.get(column, ""))
    return value if value is not None and math.isfinite(value) else None


def _has_numbers(column: str, entries: Sequence[Entry]) -> bool:
    return any(number_in(entry, column) is not None for entry in entries)


def _commit(entry: Entry) -> str:
    return entry.get(_COMMITS) or "-"


def _first_word(text: str) -> str:
    return (text.lower().split() or [""])[0].strip(".,:;()")


def _memory_gb(entry: Entry) -> float | None:
    for name, scale in _MEMORY_MB.items():
        value = number_of_text(entry.get((name,)) or "")
        if value is not None and math.isfinite(value):
            return value * scale / 1024
    return None
