"""What a run tells beside its metric: the end of its output, or the files and lines that `[lab] report` names."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from sessions.files import read_tail
from sessions.runs.contract import LOG_FILE
from sessions.runs.log import without_escapes
from supervisor.lab.config import is_line_pattern
from supervisor.lab.paths import Lab
from supervisor.model.experiment import Experiment, Run
from supervisor.runs.spec import run_directory
from supervisor.text import matches_glob

FOLDER = "report"  # of the run's own, with the files that it left
MOST_FILES = 20
MOST_BYTES = 2**16  # of one file
LOG_BYTES = 2**20  # of the log's end that is looked through
TAIL_LINES = 40
MATCHED_LINES = 200
_PART = re.compile(r"^===== .* =====$")


def keep_report(lab: Lab, run: Run, bench: Path) -> None:
    """Copy the files that the run left in its bench, before the next run cleans it."""
    globs = [entry for entry in lab.config.lab.report if not is_line_pattern(entry)]
    if not globs or not bench.is_dir():
        return
    folder = run_directory(lab, run) / FOLDER
    for path in sorted(_left_in(bench, globs))[:MOST_FILES]:
        text = _read_regular(bench / path)
        if text:
            kept = folder / path
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(text)


def read_report(lab: Lab, experiment: Experiment | None) -> str:
    """What the newest measured run of an experiment told; "" where none is asked for, or it told nothing."""
    entries = lab.config.lab.report
    if experiment is None or (lab.has_referee and not entries):
        return ""
    run = next((run for run in reversed(experiment.runs) if run.metric is not None), None)
    if run is None:
        return ""
    directory = run_directory(lab, run)
    patterns = [entry[1:-1] for entry in entries if is_line_pattern(entry)]
    printed = _printed(directory / LOG_FILE, patterns) if patterns or not entries else ""
    folder = directory / FOLDER
    files = [
        f"{file.relative_to(folder)}:\n{file.read_text(encoding='utf-8', errors='replace').rstrip()}"
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    ]
    return "\n\n".join(part for part in (printed, *files) if part)


def _printed(log: Path, patterns: Sequence[str]) -> str:
    """The lines that a pattern is found in; without patterns the last lines of the last part."""
    lines = [line.rstrip() for line in without_escapes(read_tail(log, LOG_BYTES)).splitlines()]
    start = max((at for at, line in enumerate(lines) if _PART.match(line)), default=-1) + 1
    told = [line for line in lines[start:] if line.strip()]
    if not patterns:
        return "\n".join(told[-TAIL_LINES:])
    compiled = [re.compile(pattern) for pattern in patterns]
    return "\n".join([line for line in told if any(each.search(line) for each in compiled)][:MATCHED_LINES])


def _left_in(bench: Path, globs: Sequence[str]) -> Iterator[str]:
    for folder, folders, names in os.walk(bench):
        folders[:] = [name for name in folders if name != ".git"]
        for name in names:
            path = str((Path(folder) / name).relative_to(bench))
            if any(matches_glob(path, glob) for glob in globs):
                yield path


def _read_regular(file: Path) -> bytes:
    """The file's beginning; nothing where a link would lead out of the bench, to what a run may not read."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as opened:
        return opened.read(MOST_BYTES) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
