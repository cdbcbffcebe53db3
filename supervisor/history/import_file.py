"""Taking over what another harness measured: into the store, and as a note that every brief draws on."""

from __future__ import annotations

import time
from pathlib import Path

from supervisor.errors import LaunchError
from supervisor.history.dialects import parse_history
from supervisor.lab.notes import publish_note
from supervisor.lab.paths import Lab
from supervisor.model.records import RawHistory, RawLine
from supervisor.store.connection import Store
from supervisor.store.imported import import_lines
from supervisor.text import one_line

AUTHOR = "imported"
_TOLD = 40  # lines of each kind in the note: the best keeps, the last of the others
_LONGEST = 160  # characters of one description


def import_history(lab: Lab, store: Store, file: Path) -> str:
    """Import a history; returns what came of it, in one line. Raises LaunchError, HistoryError."""
    try:
        own = lab.config.metric
        history = parse_history(file.read_bytes(), own.name, own.direction)
    except OSError as error:
        raise LaunchError(f"--import {file}: {error.strerror or error}") from error
    now = time.time()
    new = import_lines(store, str(file.resolve()), history, now)
    if new:
        title = f"What was tried before: {file.name}, another setting"
        publish_note(lab.notes_dir, title, note_text(history), AUTHOR, now)
    return (
        f"imported {new} of {len(history.lines)} lines of {file.name}, another setting, never ranked with ours; "
        f"{lab.results_tsv} goes on from them"
    )


def note_text(history: RawHistory) -> str:
    """The history as a note: what was kept, what was not; quoted as data, bounded."""
    keeps = [one for one in history.lines if one.status == "keep"]
    others = [one for one in history.lines if one.status != "keep"]
    sign = history.direction.sign if history.direction else 0.0
    better = (
        f"{history.direction.value} is better" if history.direction else "nobody says which way is better"
    )
    scored = (one for one in keeps if one.metric is not None)
    best = sorted(scored, key=lambda one: -sign * (one.metric or 0.0))
    parts = [
        f"{len(history.lines)} experiments of another harness, {len(keeps)} kept; {history.metric_name}, "
        f"{better}. Another setting: these scores rank with none of ours.",
        "Kept there, best first:",
        *map(_line, best[:_TOLD]),
        "Not kept there, the last ones:",
        *map(_line, others[-_TOLD:]),
    ]
    return "\n".join(parts)


def _line(one: RawLine) -> str:
    score = "no score" if one.metric is None else f"{one.metric:.8g}"
    return f"> {one.status} {score}: {one_line(one.description)[:_LONGEST]}"
