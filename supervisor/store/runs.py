"""Writing: training runs and the leases they hold."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sessions.runs.contract import RunOutcome, RunProgress, to_json
from supervisor.model import ids
from supervisor.model.experiment import Flag
from supervisor.model.states import ExperimentState, RunKind, RunState
from supervisor.store.campaigns import insert_run, record_event
from supervisor.store.connection import Connection, Store

ATTEMPTS = 3  # a run whose runner is lost is made again this often in all


def queue_runs(
    store: Store, tag: str, experiment: str, kind: RunKind, count: int, now: float
) -> tuple[str, ...]:
    """More runs of an experiment's commit; returns their ids."""
    with store.transaction() as db:
        return tuple(insert_run(db, tag, ids.number_of(experiment), kind, now) for _ in range(count))


def take_lease(store: Store, run: str, device: str, now: float) -> bool:
    """Give the device to the run and call it running; False when either is taken already."""
    with store.transaction() as db:
        if db.execute("SELECT 1 FROM leases WHERE device = ? OR run_id = ?", (device, run)).fetchone():
            return False
        changed = db.execute(
            "UPDATE runs SET state = ?, device = ?, started_at = ?, progress = NULL, disturbed = '' "
            "WHERE id = ? AND state = ?",
            (RunState.RUNNING, device, now, run, RunState.QUEUED),
        )
        if not changed.rowcount:
            return False
        db.execute("INSERT INTO leases VALUES (?,?,?)", (device, run, now))
        db.execute("UPDATE devices SET since = ? WHERE id = ?", (now, device))
        db.execute(
            "UPDATE experiments SET state = ? WHERE id = (SELECT experiment_id FROM runs WHERE id = ?) AND state = ?",
            (ExperimentState.MEASURING, run, ExperimentState.READY),
        )
    return True


def record_progress(store: Store, run: str, progress: RunProgress) -> None:
    """The latest word of a running run."""
    with store.transaction() as db:
        db.execute(
            "UPDATE runs SET progress = ? WHERE id = ? AND state = ?",
            (to_json(progress), run, RunState.RUNNING),
        )


def finish_run(store: Store, tag: str, run: str, outcome: RunOutcome) -> bool:
    """Take a result, once, and free the device; False when the run is not running (its result was taken before)."""
    with store.transaction() as db:
        changed = db.execute(
            "UPDATE runs SET state = ?, finished_at = ?, ending = ?, reason = ?, metric = ?, training_s = ?, "
            "total_s = ?, cpu_per_wall = ?, peak_memory_mb = ?, steps = ?, tokens = ?, holdout = ?, "
            "starting_cpu_s = ?, evaluating_cpu_s = ?, evaluated_bytes = ?, also = ?, progress = NULL "
            "WHERE id = ? AND state = ?",
            (
                RunState.FINISHED,
                outcome.finished_at,
                outcome.ending,
                outcome.reason,
                outcome.metric,
                outcome.training_s,
                outcome.total_s,
                outcome.cpu_per_wall,
                outcome.peak_memory_mb,
                outcome.steps,
                outcome.tokens,
                outcome.holdout,
                outcome.starting_cpu_s,
                outcome.evaluating_cpu_s,
                outcome.evaluated_bytes,
                json.dumps(outcome.also) if outcome.also else "",
                run,
                RunState.RUNNING,
            ),
        )
        if not changed.rowcount:
            return False
        number = db.execute("SELECT experiment_id FROM runs WHERE id = ?", (run,)).fetchone()[0]
        insert_flags(db, number, (Flag(seen.rule, detail=seen.detail) for seen in outcome.suspicions))
        _free_device(db, run, outcome.finished_at)
        seen = (
            f"{outcome.metric:.4f}" if outcome.metric is not None else f"{outcome.ending}: {outcome.reason}"
        )
        record_event(db, tag, outcome.finished_at, "", f"{run} → {seen}")
    return True


def lose_run(
    store: Store, tag: str, run: str, now: float, why: str, *, capped: bool, voided: bool = False
) -> int:
    """The runner is gone without a result: free the device and queue the run again; returns the attempts made.

    With `capped` the run counts as crashed after the last of `ATTEMPTS`; with `voided` there may be a result, but
    none that counts, and the run keeps the reason.
    """
    with store.transaction() as db:
        row = db.execute("SELECT attempt, state, device, voided FROM runs WHERE id = ?", (run,)).fetchone()
        attempt = int(row["attempt"])
        if row["state"] != RunState.RUNNING:
            return attempt
        _free_device(db, run, now)
        if voided:
            reasons = [*json.loads(row["voided"]), f"on {row['device']}: {why}"]
            db.execute("UPDATE runs SET voided = ? WHERE id = ?", (json.dumps(reasons), run))
        if attempt < ATTEMPTS or not capped:
            db.execute(
                "UPDATE runs SET state = ?, attempt = attempt + 1, progress = NULL, device = NULL, disturbed = '' "
                "WHERE id = ?",
                (RunState.QUEUED, run),
            )
        else:
            db.execute(
                "UPDATE runs SET state = ?, finished_at = ?, ending = 'crashed', reason = ?, progress = NULL "
                "WHERE id = ?",
                (RunState.FINISHED, now, f"its runner was lost {ATTEMPTS} times: {why}", run),
            )
        record_event(db, tag, now, "", f"{run}: {why}; attempt {attempt}")
    return attempt


def _free_device(db: Connection, run: str, now: float) -> None:
    db.execute(
        "UPDATE devices SET since = ? WHERE id = (SELECT device FROM leases WHERE run_id = ?)", (now, run)
    )
    db.execute("DELETE FROM leases WHERE run_id = ?", (run,))


def insert_flags(db: Connection, experiment: int, flags: Iterable[Flag]) -> None:
    """Remember what was flagged, each thing once: a second run that shows the same adds nothing."""
    for flag in flags:
        known = db.execute(
            "SELECT 1 FROM flags WHERE experiment_id = ? AND rule = ? AND path = ? AND line IS ? AND excerpt = ?",
            (experiment, flag.rule, flag.path, flag.line, flag.excerpt),
        ).fetchone()
        if known is None:
            db.execute(
                "INSERT INTO flags VALUES (?,?,?,?,?,?)",
                (experiment, flag.rule, flag.path, flag.line, flag.excerpt, flag.detail),
            )


def replace_audit(db: Connection, experiment: int, flags: Iterable[Flag]) -> None:
    """What the audit says of the edit as it is now; a draft that was sent back may have said something else."""
    db.execute("DELETE FROM flags WHERE experiment_id = ? AND path != ''", (experiment,))
    insert_flags(db, experiment, flags)


def drop_flags(db: Connection, experiment: int) -> None:
    """The experiment goes, and its flags with it."""
    db.execute("DELETE FROM flags WHERE experiment_id = ?", (experiment,))
