"""Histories as other harnesses write them: tables of tabs or commas, JSON lines; who has which columns is not asked."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sessions.runs.metric_formats import json_object
from supervisor.errors import LabError
from supervisor.history.entries import Entry, lines_of, metric_of, tells_experiments
from supervisor.history.way import way_of
from supervisor.model.records import RawHistory
from supervisor.model.states import Direction

_COMMENT_DIRECTION = "metric_direction:"
HEADER = "commit, val_bpb, memory_gb, status, description"


class HistoryError(LabError):
    """The file is no history; the text says in one line what is missing."""


@dataclass
class _Read:
    """A file taken apart."""

    columns: list[str] = field(default_factory=list)  # in order
    entries: list[Entry] = field(default_factory=list)
    named: str = ""  # the metric, where the file says it
    direction: Direction | None = None
    skipped: int = 0


def parse_history(content: bytes, metric: str = "", direction: Direction | None = None) -> RawHistory:
    """Read a file in any of the dialects. Raises HistoryError when it has no metric or no usable line.

    `metric` is the lab's, and counts where the file has it; so then does its `direction`.
    """
    numbered = enumerate(content.decode("utf-8-sig", "replace").splitlines(), start=1)
    texts = [(number, text) for number, text in numbered if text.strip()]
    if not texts:
        raise HistoryError(f"The file is empty: a history starts with {HEADER}.")
    read = _of_json(texts) if texts[0][1].lstrip().startswith("{") else _of_table(texts)
    name = metric_of(read.columns, read.entries, metric, read.named)
    if name is None or not tells_experiments(read.columns):
        raise HistoryError(f"The first line is not like the header {HEADER}, or no line below has a number.")
    said = direction if not metric or metric in (name, read.named) else None
    way = said or read.direction or way_of(read.named or name, name, read.entries)
    lines = lines_of(read.columns, read.entries, name, way)
    if not lines:
        raise HistoryError("The file has a header and no usable line below it.")
    return RawHistory(read.named or name, way, lines, read.skipped + len(read.entries) - len(lines))


def _of_table(texts: Sequence[tuple[int, str]]) -> _Read:
    comments = [text for _, text in texts if text.startswith("#")]
    rows = [(number, text) for number, text in texts if not text.startswith("#")]
    read = _Read(direction=_commented(comments))
    if not rows:
        return read
    tabs = "\t" in rows[0][1]
    read.columns = [name.strip() for name in _cells(rows[0][1], tabs)]
    width = len(read.columns)
    for number, text in rows[1:]:
        cells = _cells(text, tabs)
        if len(cells) > width:  # the last column may hold separators of its own
            cells = [*cells[: width - 1], ("\t" if tabs else ",").join(cells[width - 1 :])]
        if len(cells) < width:
            read.skipped += 1
            continue
        named = zip(read.columns, cells, strict=True)
        read.entries.append(Entry(number, {name: cell.strip() for name, cell in named}))
    return read


def _cells(text: str, tabs: bool) -> list[str]:
    return text.split("\t") if tabs else next(csv.reader([text]), [])


def _commented(comments: Sequence[str]) -> Direction | None:
    words = [text.partition(_COMMENT_DIRECTION)[2].strip() for text in comments if _COMMENT_DIRECTION in text]
    return next((way for way in Direction if words and words[0].startswith(way.value)), None)


def _of_json(texts: Sequence[tuple[int, str]]) -> _Read:
    read = _Read()
    columns: dict[str, None] = {}
    for number, text in texts:
        record = json_object(text.strip())
        if record is None:
            read.skipped += 1
        elif record.get("type") == "config" or "metricName" in record:
            read.named = str(record.get("metricName") or read.named)
            way = record.get("bestDirection")
            read.direction = Direction(way) if way in tuple(Direction) else read.direction
        else:
            values = _flat(record)
            columns |= dict.fromkeys(values)
            read.entries.append(Entry(number, values))
    read.columns = list(columns)
    return read


def _flat(record: dict[str, Any]) -> dict[str, str]:
    """The record's own keys, and those of its metrics; what else lies within is no figure of the experiment."""
    metrics = record.get("metrics")
    own = {key: value for key, value in record.items() if not isinstance(value, dict | list)}
    below = metrics if isinstance(metrics, dict) else {}
    values = {**{k: v for k, v in below.items() if not isinstance(v, dict | list)}, **own}
    return {str(key): _word(value) for key, value in values.items()}


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else " ".join(str(value).split())
