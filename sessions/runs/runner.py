"""The runner: a process of its own that makes one training run and writes what came of it.

Hidden command `autoresearch-tui _runner DIR`. It holds the run's lock for life, adopts every process of
the run, and leaves none behind. Whoever started it may die; its outcome waits in `outcome.json`.
"""

from __future__ import annotations

import fcntl
import math
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sessions.locks import take_lock
from sessions.processes.marks import end_marked
from sessions.processes.tree import TreeMeter, become_subreaper
from sessions.runs.channel import count_of
from sessions.runs.confinement import confinement_of
from sessions.runs.contract import (
    LOCK_FILE,
    LOG_FILE,
    OUTCOME_FILE,
    PEAK_VRAM,
    PROGRESS_FILE,
    RunEnding,
    RunOutcome,
    RunPhase,
    RunProgress,
    RunSpec,
    read_spec,
    to_json,
)
from sessions.runs.ending import Attempt, AttemptResult, judge, smoke_timeout_s
from sessions.runs.log import RunLog
from sessions.runs.meter_check import find_suspicions, time_evaluating, time_starting
from sessions.runs.metric_formats import number_of
from sessions.runs.orphan_guard import RunGuard
from sessions.runs.redaction import Redactor, secrets_in
from sessions.runs.start import GIVEN, HELD_EXIT_CODE, LOCK_VARIABLE
from sessions.runs.tamper_check import find_change, hash_kept_files
from sessions.runs.trainer import Signals, Trainer, mark_of
from sessions.sandbox.run_sandbox import Confinement

LOG_LIMIT = 4 * 2**20  # of its beginning; a thousand runs that print without end are then no full disk
_RESERVE_FILE = ".outcome"
_RESERVE_SIZE = 2**18  # a report is at most 64 KiB


def main(directory: str) -> int:
    """Make the run in `directory`.

    Returns 0 when there is an outcome, 2 for a bad spec, 3 when another runner works there, 4 when the
    disk takes nothing.
    """
    folder = Path(directory)
    try:
        spec = read_spec(folder)
    except (OSError, ValueError, TypeError, KeyError) as error:
        print(
            f"no run can be made in {folder}: its spec.json is not there or not whole: {error}",
            file=sys.stderr,
        )
        return 2
    lock = _inherited_lock(folder) or take_lock(folder / LOCK_FILE)
    if lock is None:
        print(f"another runner works in {folder}", file=sys.stderr)
        return HELD_EXIT_CODE
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    try:
        if not (folder / OUTCOME_FILE).exists():  # else it was made already: a result counts once
            Runner(_with_given(spec)).make()
    except OSError as error:
        print(f"the outcome of {spec.run_id} cannot be written: {error}; make room", file=sys.stderr)
        return 4
    fcntl.flock(lock, fcntl.LOCK_UN)  # the guard shares it, and may take a moment longer to go
    return 0


class Runner:
    """One run: smoke first, then in earnest, then the outcome."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self._directory = spec.directory
        self._started_at, self._began = time.time(), time.monotonic()

    def make(self) -> RunOutcome:
        """Make the run and write its outcome. Raises OSError when that cannot be written."""
        spec = self._spec
        _reserve_room(self._directory)
        if os.getsid(0) != os.getpid():
            os.setsid()
        signals = Signals()
        end_marked(mark_of(spec))  # of an earlier attempt whose runner was killed
        guard = RunGuard(mark_of(spec))
        become_subreaper()
        confinement = confinement_of(spec)
        self._meter = TreeMeter()
        self._hashes = hash_kept_files(spec)
        given = {name: spec.env[name] for name in spec.given if name in spec.env}
        secrets = secrets_in(given, spec.secret_files)
        log = RunLog(self._directory / LOG_FILE, LOG_LIMIT, Redactor(secrets))
        self._trainer = Trainer(spec, confinement, log, self._meter, signals, self._write_progress)
        attempt, result = self._attempt(log)
        outcome = self._outcome(attempt, result, confinement)
        _write_outcome(self._directory, outcome)
        log.close()
        guard.dismiss()
        return outcome

    def _attempt(self, log: RunLog) -> tuple[Attempt, AttemptResult]:
        spec = self._spec
        if spec.smoke and (spec.has_referee or spec.smoke_argv):
            log.start_part(f"smoke run of {spec.run_id}")
            smoke = self._trainer.run(True, smoke_timeout_s(spec))
            result = judge(smoke, spec, True)
            result = self._unless_tampered(result)
            if result.ending is not RunEnding.MEASURED:
                return smoke, AttemptResult(result.ending, f"smoke run: {result.reason}")
        log.start_part(f"run of {spec.run_id}, seed {spec.seed}, budget {spec.budget_s:g} s ({spec.clock})")
        elapsed_s = time.monotonic() - self._began
        attempt = self._trainer.run(False, spec.timeout_s - elapsed_s)
        return attempt, self._unless_tampered(judge(attempt, spec, False))

    def _unless_tampered(self, result: AttemptResult) -> AttemptResult:
        if result.ending is RunEnding.ENDED:
            return result
        change = find_change(self._hashes, hash_kept_files(self._spec))
        return AttemptResult(RunEnding.REJECTED, change) if change else result

    def _outcome(self, attempt: Attempt, result: AttemptResult, confinement: Confinement) -> RunOutcome:
        spec, events, end = self._spec, attempt.events, attempt.end
        report = dict(events.reports[0]) if events.reports else {}
        holdout = number_of(report.pop("holdout", None)) if events.holdout else None
        report.pop("holdout", None)  # what was not asked for is no figure
        counts = events.counts | report
        training = events.time_in(RunPhase.TRAINING, end)
        began_to_train = spec.has_referee and events.stamp(RunPhase.TRAINING)
        ended_training = spec.has_referee and events.stamp(RunPhase.EVALUATING)
        return RunOutcome(
            run_id=spec.run_id,
            ending=result.ending,
            reason=result.reason,
            metric=result.metric,
            started_at=self._started_at,
            finished_at=time.time(),
            training_s=training.on(spec.clock),
            total_s=time.monotonic() - self._began,
            cpu_s=self._meter.cpu_s,
            cpu_per_wall=training.cpu_s / training.wall_s if training.wall_s > 0 else None,
            peak_memory_mb=_peak_vram_mb(report, attempt.reading.also) or self._meter.peak_mb(),
            steps=count_of(counts.get("steps")),
            tokens=count_of(counts.get("tokens")),
            parameters=count_of(counts.get("parameters")),
            exit_code=attempt.exit_code,
            sandbox=confinement.value,
            holdout=holdout if holdout is not None and math.isfinite(holdout) else None,
            evaluated_bytes=count_of(report.get("evaluated_bytes")),
            starting_cpu_s=time_starting(events, end).cpu_s if began_to_train else None,
            evaluating_cpu_s=time_evaluating(events, end).cpu_s if ended_training else None,
            suspicions=find_suspicions(events, end, attempt.reading, attempt.left_over, spec),
            report=report,
            also=_beside(attempt.reading.also, spec),
        )

    def _write_progress(self, progress: RunProgress) -> None:
        # Not synced to disk, twice a second beside the run that is being measured: it may be lost.
        draft = self._directory / f".{PROGRESS_FILE}"
        try:
            draft.write_text(to_json(progress), encoding="utf-8")
            draft.replace(self._directory / PROGRESS_FILE)
        except OSError:  # a full disk; the run goes on
            draft.unlink(missing_ok=True)


def _beside(printed: Mapping[str, float], spec: RunSpec) -> dict[str, float]:
    """The secondary figures: those that the lab names, and those that were printed as METRIC lines."""
    read_for_else = {PEAK_VRAM, *(gate.name for gate in spec.gates)} - set(spec.also)
    return {name: value for name, value in printed.items() if name not in read_for_else}


def _peak_vram_mb(report: Mapping[str, Any], printed: Mapping[str, float]) -> float:
    """Of the GPU, as the referee says, or the command of a lab without one; 0 where none was used."""
    peak_mb = number_of(report.get(PEAK_VRAM)) if report else printed.get(PEAK_VRAM)
    return peak_mb if peak_mb is not None and math.isfinite(peak_mb) and peak_mb > 0 else 0.0


def _with_given(spec: RunSpec) -> RunSpec:
    """The spec with the variables that were handed to us for the run, which no file has."""
    handed = {name: os.environ.pop(f"{GIVEN}{name}", None) for name in spec.given}
    given = {name: value for name, value in handed.items() if value is not None and name not in spec.env}
    return replace(spec, env=spec.env | given)


def _inherited_lock(folder: Path) -> int | None:
    """The lock that `start_runner` took for us and handed down."""
    descriptor = os.environ.pop(LOCK_VARIABLE, "")
    if not descriptor.isdigit():
        return None
    try:
        if not os.path.samestat(os.fstat(int(descriptor)), (folder / LOCK_FILE).stat()):
            return None
        fcntl.flock(int(descriptor), fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.set_inheritable(int(descriptor), False)
    except OSError:
        return None
    return int(descriptor)


def _reserve_room(directory: Path) -> None:
    # Real bytes, written now: the outcome later takes their place, so a full disk cannot lose it.
    with (directory / _RESERVE_FILE).open("wb") as file:
        file.write(b" " * _RESERVE_SIZE)
        file.flush()
        os.fsync(file.fileno())


def _write_outcome(directory: Path, outcome: RunOutcome) -> None:
    data = to_json(outcome).encode()
    with (directory / _RESERVE_FILE).open("r+b") as file:
        file.write(data)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    (directory / _RESERVE_FILE).replace(directory / OUTCOME_FILE)
