"""Reading: the store as one frozen `LabSnapshot`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sessions.devices.discovery import FoundDevice
from supervisor.model import ids
from supervisor.model.base import Base
from supervisor.model.experiment import Experiment, Flag, Run, Spending
from supervisor.model.promotion import Interval, Piece, Promotion
from supervisor.model.snapshot import (
    Agent,
    Campaign,
    Device,
    Event,
    Hypothesis,
    LabSnapshot,
    Limits,
    Note,
    Setting,
)
from supervisor.model.states import Purpose, RunKind, Verdict
from supervisor.store import rows
from supervisor.store.connection import Connection, Store
from supervisor.store.imported import read_imported
from supervisor.store.steps import spending_by

EVENTS_SHOWN = 200
NOT_OF_THIS_LAUNCH = "not among the devices of this launch"


def read_rows(
    store: Store, root: Path, now: float, *, notes: tuple[Note, ...], supervisor_alive: bool
) -> LabSnapshot:
    """Everything that the current campaign's rows say, as of one moment; nothing is derived yet."""
    with store.reading() as db:
        version = int(db.execute("SELECT version FROM lab").fetchone()[0])
        nothing = LabSnapshot(root, now, version, None, notes=notes, supervisor_alive=supervisor_alive)
        row = db.execute("SELECT tag, baseline_id FROM campaigns ORDER BY started_at DESC LIMIT 1").fetchone()
        if row is None:
            return nothing
        tag, baseline = row
        trials = _experiments(db, tag, Purpose.PROMOTION)
        return replace(
            nothing,
            campaign=_campaign(db, tag, now),
            agents=_agents(db, tag),
            devices=_devices(db),
            hypotheses=_hypotheses(db, tag),
            experiments=_experiments(db, tag, Purpose.RESEARCH),
            events=_events(db, tag),
            canaries=_canaries(db, baseline),
            promotions=_promotions(db, tag, {trial.id: trial for trial in trials}),
            trials=trials,
            imported=read_imported(db),
            baseline_id=None if baseline is None else ids.experiment_id(baseline),
        )


def tags(store: Store) -> tuple[str, ...]:
    """The tags of all campaigns of the lab, oldest first."""
    query = "SELECT tag FROM campaigns ORDER BY started_at"
    return tuple(tag for (tag,) in store.connection.execute(query))


def earlier_experiments(store: Store, tag: str) -> tuple[Experiment, ...]:
    """What earlier campaigns of the lab decided under this campaign's setting, oldest first."""
    db = store.connection
    others = db.execute(
        "SELECT tag FROM campaigns WHERE tag != ? AND setting_id = (SELECT setting_id FROM campaigns WHERE tag = ?) "
        "ORDER BY started_at",
        (tag, tag),
    ).fetchall()
    experiments = (one for (other,) in others for one in _experiments(db, other, Purpose.RESEARCH))
    return tuple(one for one in experiments if one.is_decided)


def measured_baseline_runs(store: Store, tag: str) -> tuple[Run, ...]:
    """The baseline's runs that have a metric: what an ordinary run of this campaign looks like."""
    query = (
        "FROM runs WHERE experiment_id = (SELECT baseline_id FROM campaigns WHERE tag = ?) "
        "AND metric IS NOT NULL AND kind != 'canary' ORDER BY ordinal"
    )
    return rows.read(store.connection, Run, query, (tag,))


def is_proven(store: Store, setting: Setting, base_commit: str) -> bool:
    """Whether a campaign in this setting has shown already that edits of this commit are what runs."""
    query = (
        "SELECT 1 FROM runs JOIN experiments ON experiments.id = runs.experiment_id "
        "JOIN settings ON settings.id = setting_id WHERE kind = ? "
        "AND details = ? AND experiments.commit_sha = ? AND verdict = ? LIMIT 1"
    )
    details = rows.columns_of(setting)["details"]
    values = (RunKind.CANARY, details, base_commit, Verdict.BASELINE)
    return store.connection.execute(query, values).fetchone() is not None


def all_promotions(store: Store) -> tuple[Promotion, ...]:
    """Every promotion of the lab without its measurements, oldest first."""
    return _promotions(store.connection, None, {})


def device_place(store: Store, device_id: str) -> tuple[tuple[int, ...], dict[str, str]]:
    """The CPU cores that a device's runs are pinned to, and the environment that narrows them to the device."""
    row = store.connection.execute(
        "SELECT cores, environment FROM devices WHERE id = ?", (device_id,)
    ).fetchone()
    return ((), {}) if row is None else (tuple(json.loads(row["cores"])), json.loads(row["environment"]))


def device_file(store: Store, device_id: str) -> Path | None:
    """The file under /dev through which a device is used; None where it is not known."""
    row = store.connection.execute("SELECT minor FROM devices WHERE id = ?", (device_id,)).fetchone()
    return None if row is None or row["minor"] is None else Path(f"/dev/nvidia{row['minor']}")


def cpu_slots(store: Store) -> tuple[FoundDevice, ...]:
    """The CPU slots of the last launch, as they were then."""
    rows_in_use = store.connection.execute(
        "SELECT id, kind, label, cores FROM devices WHERE in_use = 1 AND kind = 'cpu' ORDER BY rowid"
    )
    return tuple(
        FoundDevice(row["id"], row["kind"], row["label"], tuple(json.loads(row["cores"])), None)
        for row in rows_in_use
    )


def _campaign(db: Connection, tag: str, now: float) -> Campaign:
    def setting(setting_id: str) -> Setting:
        return rows.read(db, Setting, "FROM settings WHERE id = ?", (setting_id,))[0]

    def running_s(before_s: float, since: float | None) -> float:
        return before_s + (now - since if since is not None else 0.0)

    return rows.read(
        db,
        Campaign,
        "FROM campaigns WHERE tag = ?",
        (tag,),
        setting=(setting, "setting_id"),
        limits=(Limits, "limit_experiments", "limit_hours", "limit_usd", "limit_usd_each"),
        asked=(Limits, "asked_experiments", "asked_hours", "asked_usd"),
        running_s=(running_s, "running_s", "running_since"),
    )[0]


def _agents(db: Connection, tag: str) -> tuple[Agent, ...]:
    spending = spending_by(db, "agent", "tag = ?", (tag,))
    query = "FROM agents WHERE tag = ? ORDER BY rowid"
    return rows.read(db, Agent, query, (tag,), spending=(lambda name: spending.get(name, Spending()), "name"))


def _devices(db: Connection) -> tuple[Device, ...]:
    return rows.read(
        db,
        Device,
        "FROM devices LEFT JOIN leases ON leases.device = devices.id "
        "WHERE in_use = 1 OR run_id IS NOT NULL ORDER BY devices.rowid",
        problem=(
            lambda problem, in_use: problem or ("" if in_use else NOT_OF_THIS_LAUNCH),
            "problem",
            "in_use",
        ),
    )


def _hypotheses(db: Connection, tag: str) -> tuple[Hypothesis, ...]:
    query = "SELECT hypothesis_id, id FROM experiments WHERE tag = ? ORDER BY id"
    tests = {hypothesis: ids.experiment_id(number) for hypothesis, number in db.execute(query, (tag,))}
    query = "FROM hypotheses WHERE tag = ? ORDER BY position"
    return rows.read(db, Hypothesis, query, (tag,), experiment_id=(tests.get, "id"))


def _experiments(db: Connection, tag: str, purpose: Purpose) -> tuple[Experiment, ...]:
    of_these = "experiment_id IN (SELECT id FROM experiments WHERE tag = ? AND purpose = ?)"
    runs: dict[str, list[Run]] = defaultdict(list)
    query = f"FROM runs WHERE {of_these} AND kind != 'canary' ORDER BY experiment_id, ordinal"
    for run in rows.read(db, Run, query, (tag, purpose)):
        runs[run.experiment_id].append(run)
    flags: dict[int, list[Flag]] = defaultdict(list)
    query = f"FROM flags WHERE {of_these} ORDER BY experiment_id, path, line, rule"
    columns = "experiment_id, rule, path, line, excerpt, detail"
    for number, *columns_of_flag in db.execute(f"SELECT {columns} {query}", (tag, purpose)):
        flags[number].append(Flag(*columns_of_flag))
    spending = spending_by(db, "experiment_id", of_these, (tag, purpose))
    return rows.read(
        db,
        Experiment,
        "FROM experiments WHERE tag = ? AND purpose = ? ORDER BY id",
        (tag, purpose),
        spending=(lambda number: spending.get(number, Spending()), "id"),
        runs=(lambda number: tuple(runs.get(ids.experiment_id(number), ())), "id"),
        flags=(lambda number: tuple(flags.get(number, ())), "id"),
    )


def _canaries(db: Connection, baseline: int | None) -> tuple[Run, ...]:
    query = "FROM runs WHERE experiment_id = ? AND kind = ? ORDER BY ordinal DESC"
    return rows.read(db, Run, query, (baseline, RunKind.CANARY))


def _promotions(db: Connection, tag: str | None, trials: Mapping[str, Experiment]) -> tuple[Promotion, ...]:
    """The promotions of a campaign, or of all for None, oldest first; `trials` are their experiments by id."""

    def trial(number: int | None) -> Experiment | None:
        return None if number is None else trials.get(ids.experiment_id(number))

    def pieces(promotion: int) -> tuple[Piece, ...]:
        return rows.read(
            db,
            Piece,
            "FROM promotion_pieces WHERE promotion = ? ORDER BY ordinal",
            (promotion,),
            base=(trial, "base_id"),
            candidate=(trial, "candidate_id"),
            gain=(_interval, "gain", "gain_low", "gain_high"),
            holdout=(_interval, "holdout_gain", "holdout_low", "holdout_high"),
        )

    home = (
        f"(SELECT {column} FROM campaigns WHERE campaigns.tag = promotions.tag)"
        for column in ("base_branch", "base_commit")
    )
    query = "FROM promotions WHERE tag = coalesce(?, tag) ORDER BY id"
    return rows.read(db, Promotion, query, (tag,), number="id", pieces=(pieces, "id"), home=(Base, *home))


def _interval(gain: float | None, low: float | None, high: float | None) -> Interval | None:
    return None if gain is None or low is None or high is None else Interval(gain, low, high)


def _events(db: Connection, tag: str) -> tuple[Event, ...]:
    query = "FROM events WHERE tag = ? ORDER BY id DESC LIMIT ?"
    return rows.read(db, Event, query, (tag, EVENTS_SHOWN))[::-1]
