"""Histories as other harnesses write them: upstream's results.tsv and its relatives, pi-autoresearch's JSON lines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from sessions.runs.metric_formats import json_object
from supervisor.errors import LabError
from supervisor.model.records import RawHistory, RawLine
from supervisor.model.states import Direction

# Words for how an experiment ended, by ours; what is in none of them is no experiment.
_STATUS = {
    "keep": ("keep", "kept", "baseline", "keep (reworked)", "accept"),
    "discard": ("discard", "discarded", "revert", "reverted", "skip", "no-op"),
    "crash": ("crash", "crashed", "checks_failed", "timeout", "failed", "error", "hook-blocked"),
}
_WORDS = {word: status for status, words in _STATUS.items() for word in words}
_MEMORY_MB = {"memory_gb": 1024.0, "memory_mb": 1.0, "peak_vram_mb": 1.0}
_TEXTS = ("description", "change", "idea", "hypothesis")
_NO_METRIC = frozenset(
    """commit status iteration iter run exp id delta guard timestamp ts time tag before domain seconds duration_s
    training_seconds""".split()
).union(_MEMORY_MB, _TEXTS)
_NAMED = ("metric", "after", "score", "value")  # a column that only says that it is the metric
_COMMENT_DIRECTION = "metric_direction:"


class HistoryError(LabError):
    """The file is no history; the text says in one line what is missing."""


def parse_history(content: bytes) -> RawHistory:
    """Read a file in any of the dialects. Raises HistoryError when it has no header or no usable line."""
    numbered = enumerate(content.decode("utf-8-sig", "replace").splitlines(), start=1)
    texts = [(number, text) for number, text in numbered if text.strip()]
    if not texts:
        raise HistoryError(
            "The file is empty: a history starts with commit, val_bpb, memory_gb, status, description."
        )
    history = _of_json(texts) if texts[0][1].lstrip().startswith("{") else _of_table(texts)
    if not history.lines:
        raise HistoryError("The file has a header and no usable line below it.")
    return history


def _of_table(texts: Sequence[tuple[int, str]]) -> RawHistory:
    comments = [text for _, text in texts if text.startswith("#")]
    rows = [(number, text.split("\t")) for number, text in texts if not text.startswith("#")]
    header = [name.strip().lower() for name in rows[0][1]] if rows else []
    metric = _metric_column(header)
    text = next((header.index(name) for name in _TEXTS if name in header), None)
    if metric is None or text is None or "status" not in header or len(header) < 4:
        raise HistoryError(
            "The first line is not the header commit, val_bpb, memory_gb, status, description."
        )
    direction = _direction(comments)
    # Where a crash is written as a score of nothing, nothing is no score.
    zero_is_none = direction is Direction.LOWER and "memory_gb" in header
    parsed_lines = [
        _of_cells(number, header, cells, metric, text, zero_is_none) for number, cells in rows[1:]
    ]
    name = [cell.strip() for cell in rows[0][1]][metric]
    lines = tuple(line for line in parsed_lines if line is not None)
    return RawHistory(name, direction, lines, len(parsed_lines) - len(lines))


def _metric_column(header: Sequence[str]) -> int | None:
    explicit = next((header.index(name) for name in _NAMED if name in header), None)
    others = (at for at, name in enumerate(header) if name and name not in _NO_METRIC)
    return explicit if explicit is not None else next(others, None)


def _direction(comments: Iterable[str]) -> Direction:
    words = (text.partition(_COMMENT_DIRECTION)[2].strip() for text in comments if _COMMENT_DIRECTION in text)
    return Direction.HIGHER if next(words, "").startswith("higher") else Direction.LOWER


def _of_cells(
    number: int, header: Sequence[str], cells: Sequence[str], metric: int, text: int, zero_is_none: bool
) -> RawLine | None:
    if text == len(header) - 1:  # the last column may hold tabs of its own
        cells = [*cells[:text], "\t".join(cells[text:])] if len(cells) > text else cells
    if len(cells) < len(header):
        return None
    row = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
    status = _WORDS.get(row["status"].lower())
    value = _number(cells[metric])
    if status is None:
        return None
    if status == "crash":
        value = None
    elif value is None or (zero_is_none and value <= 0):
        return None
    memory = next(((row[name], scale) for name, scale in _MEMORY_MB.items() if name in row), ("", 1.0))
    memory_mb = _number(memory[0])
    memory_gb = None if memory_mb is None else memory_mb * memory[1] / 1024
    return RawLine(number, row.get("commit", "-"), value, memory_gb, status, cells[text].strip())


def _of_json(texts: Sequence[tuple[int, str]]) -> RawHistory:
    name, direction, lines, skipped = "metric", Direction.LOWER, [], 0
    for number, text in texts:
        record = json_object(text.strip()) or {}
        if record.get("type") == "config" or "metricName" in record:
            name = str(record.get("metricName") or name)
            direction = Direction.HIGHER if record.get("bestDirection") == "higher" else Direction.LOWER
            continue
        line = _of_record(number, record)
        skipped += line is None
        lines += [line] if line is not None else []
    return RawHistory(name, direction, tuple(lines), skipped)


def _of_record(number: int, record: dict[str, Any]) -> RawLine | None:
    status = _WORDS.get(str(record.get("status", "")).lower())
    value = _number(str(record.get("metric")))
    if status is None or (value is None and status != "crash"):
        return None
    description = next((str(record[key]) for key in _TEXTS if record.get(key)), "")
    commit = str(record.get("commit") or "-")
    score = None if status == "crash" else value
    return RawLine(number, commit, score, None, status, " ".join(description.split()))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
