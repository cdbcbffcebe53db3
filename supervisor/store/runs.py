"""Writing: training runs and the leases they hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from sessions.runs.contract import RunEnding, RunOutcome, RunProgress, to_json
from supervisor.model import ids
from supervisor.model.experiment import Flag
from supervisor.model.states import ExperimentState, RunKind, RunState
from supervisor.store import rows
from supervisor.store.campaigns import insert_run, record_event
from supervisor.store.connection import Connection, Store
from supervisor.text import figure

ATTEMPTS = 3  # a run whose runner is lost is made again this often in all
# Of an outcome; the first two are the lease's, the flags take the suspicions, the files of the run have the rest.
_NOT_KEPT = frozenset("run_id started_at suspicions cpu_s parameters exit_code sandbox report".split())


def queue_runs(
    store: Store, tag: str, experiment: str, kind: RunKind, count: int, now: float
) -> tuple[str, ...]:
    """More runs of an experiment's commit; returns their ids."""
    with store.transaction() as db:
        return tuple(insert_run(db, tag, ids.number_of(experiment), kind, now) for _ in range(count))


def take_lease(store: Store, run: str, device: str, now: float, others: Sequence[str] = ()) -> bool:
    """Give the device, and the others, to the run and call it running; False, and none given, when any is taken."""
    devices = (device, *others)
    with store.transaction() as db:
        for one in devices:
            if db.execute("SELECT 1 FROM leases WHERE device = ? OR run_id = ?", (one, run)).fetchone():
                return False
        queued = {"id": run, "state": RunState.QUEUED}
        start = {"device": ids.device_list(devices), "started_at": now, "progress": None, "disturbed": ""}
        if not rows.update(db, "runs", queued, start, state=RunState.RUNNING):
            return False
        for one in devices:
            rows.insert(db, "leases", device=one, run_id=run, taken_at=now)
            rows.update(db, "devices", {"id": one}, since=now)
        db.execute(
            "UPDATE experiments SET state = ? WHERE id = (SELECT experiment_id FROM runs WHERE id = ?) AND state = ?",
            (ExperimentState.MEASURING, run, ExperimentState.READY),
        )
    return True


def record_progress(store: Store, run: str, progress: RunProgress) -> None:
    """The latest word of a running run."""
    with store.transaction() as db:
        rows.update(db, "runs", {"id": run, "state": RunState.RUNNING}, progress=to_json(progress))


def finish_run(store: Store, tag: str, run: str, outcome: RunOutcome) -> bool:
    """Take a result, once, and free the device; False when the run is not running (its result was taken before)."""
    with store.transaction() as db:
        result = rows.columns_of(outcome, without=tuple(_NOT_KEPT))
        running = {"id": run, "state": RunState.RUNNING}
        if not rows.update(db, "runs", running, result, state=RunState.FINISHED, progress=None):
            return False
        query = "SELECT experiment_id, broken FROM runs WHERE id = ?"
        number, broken = db.execute(query, (run,)).fetchone()
        if not broken:
            flags = (Flag(suspicion.rule, detail=suspicion.detail) for suspicion in outcome.suspicions)
            insert_flags(db, number, flags)
        _free_device(db, run, outcome.finished_at)
        text = figure(outcome.metric) if outcome.metric is not None else f"{outcome.ending}: {outcome.reason}"
        what = f"{run}, {broken} broken on purpose" if broken else run
        record_event(db, tag, outcome.finished_at, "", f"{what} → {text}")
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
            rows.update(db, "runs", {"id": run}, voided=json.dumps(reasons))
        if attempt < ATTEMPTS or not capped:
            again = {"state": RunState.QUEUED, "attempt": attempt + 1, "device": None, "disturbed": ""}
            rows.update(db, "runs", {"id": run}, again, progress=None)
        else:
            crash = {"ending": RunEnding.CRASHED, "reason": f"its runner was lost {ATTEMPTS} times: {why}"}
            end = {"state": RunState.FINISHED, "finished_at": now, "progress": None}
            rows.update(db, "runs", {"id": run}, end | crash)
        record_event(db, tag, now, "", f"{run}: {why}; attempt {attempt}")
    return attempt


def _free_device(db: Connection, run: str, now: float) -> None:
    db.execute(
        "UPDATE devices SET since = ? WHERE id IN (SELECT device FROM leases WHERE run_id = ?)", (now, run)
    )
    db.execute("DELETE FROM leases WHERE run_id = ?", (run,))


def insert_flags(db: Connection, experiment: int, flags: Iterable[Flag]) -> None:
    """Remember what was flagged, each thing once: a second run that shows the same adds nothing."""
    for flag in flags:
        twin = db.execute(
            "SELECT 1 FROM flags WHERE experiment_id = ? AND rule = ? AND path = ? AND line IS ? AND excerpt = ?",
            (experiment, flag.rule, flag.path, flag.line, flag.excerpt),
        ).fetchone()
        if twin is None:
            rows.insert(db, "flags", rows.columns_of(flag), experiment_id=experiment)


def replace_audit(db: Connection, experiment: int, flags: Iterable[Flag]) -> None:
    """What the audit says of the edit as it is now; a draft that was sent back may have said something else."""
    db.execute("DELETE FROM flags WHERE experiment_id = ? AND path != ''", (experiment,))
    insert_flags(db, experiment, flags)


def drop_queued_runs(db: Connection, experiment: int) -> None:
    """Nobody waits for them any more."""
    db.execute("DELETE FROM runs WHERE experiment_id = ? AND state = ?", (experiment, RunState.QUEUED))
