"""Reading: the store as one frozen `LabSnapshot`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sessions.devices.gpu import GpuReading, Throttle
from sessions.runs.contract import RunEnding, RunPhase, RunProgress
from supervisor.model import ids
from supervisor.model.experiment import Experiment, Flag, Run, Spending
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
from supervisor.model.states import (
    AgentState,
    CampaignState,
    Clock,
    Direction,
    ExperimentState,
    HypothesisState,
    Mode,
    Role,
    RunKind,
    RunState,
    Verdict,
    Wanted,
)
from supervisor.store.connection import Connection, Row, Store
from supervisor.store.imported import read_imported
from supervisor.store.promotion_rows import read_promotions
from supervisor.store.steps import spending_by

EVENTS_SHOWN = 200
NOT_OF_THIS_LAUNCH = "not among the devices of this launch"


def read_rows(
    store: Store, root: Path, now: float, *, notes: tuple[Note, ...], supervisor_alive: bool
) -> LabSnapshot:
    """Everything that the current campaign's rows say, as of one moment; nothing is derived yet."""
    with store.reading() as db:
        version = int(db.execute("SELECT version FROM lab").fetchone()[0])
        row = db.execute("SELECT * FROM campaigns ORDER BY started_at DESC LIMIT 1").fetchone()
        if row is None:
            return LabSnapshot(
                root=root,
                taken_at=now,
                version=version,
                campaign=None,
                notes=notes,
                supervisor_alive=supervisor_alive,
            )
        tag = row["tag"]
        trials = _experiments(db, tag, "promotion")
        return LabSnapshot(
            root=root,
            taken_at=now,
            version=version,
            campaign=_campaign(db, row, now),
            agents=_agents(db, tag),
            devices=_devices(db),
            hypotheses=_hypotheses(db, tag),
            experiments=_experiments(db, tag),
            notes=notes,
            events=_events(db, tag),
            promotions=read_promotions(db, tag, {trial.id: trial for trial in trials}),
            trials=trials,
            imported=read_imported(db),
            baseline_id=None if row["baseline_id"] is None else ids.experiment_id(row["baseline_id"]),
            supervisor_alive=supervisor_alive,
        )


def tags(store: Store) -> tuple[str, ...]:
    """The tags of all campaigns of the lab, oldest first."""
    return tuple(
        row["tag"] for row in store.connection.execute("SELECT tag FROM campaigns ORDER BY started_at")
    )


def earlier_experiments(store: Store, tag: str) -> tuple[Experiment, ...]:
    """What earlier campaigns of the lab decided under this campaign's setting, oldest first."""
    db = store.connection
    others = db.execute(
        "SELECT tag FROM campaigns WHERE tag != ? AND setting_id = (SELECT setting_id FROM campaigns WHERE tag = ?) "
        "ORDER BY started_at",
        (tag, tag),
    ).fetchall()
    found = (one for row in others for one in _experiments(db, row["tag"]))
    return tuple(one for one in found if one.state is ExperimentState.DECIDED)


def measured_baseline_runs(store: Store, tag: str) -> tuple[Run, ...]:
    """The baseline's runs that have a metric: what an ordinary run of this campaign looks like."""
    rows = store.connection.execute(
        "SELECT runs.* FROM runs JOIN campaigns ON campaigns.baseline_id = runs.experiment_id "
        "WHERE campaigns.tag = ? AND runs.metric IS NOT NULL ORDER BY runs.ordinal",
        (tag,),
    )
    return tuple(_run(row) for row in rows)


def device_place(store: Store, device_id: str) -> tuple[int | None, dict[str, str]]:
    """The CPU core that a device's runs are pinned to, and the environment that narrows them to the device."""
    row = store.connection.execute(
        "SELECT core, environment FROM devices WHERE id = ?", (device_id,)
    ).fetchone()
    return (None, {}) if row is None else (row["core"], json.loads(row["environment"]))


def device_file(store: Store, device_id: str) -> Path | None:
    """The file under /dev through which a device is used; None where it is not known."""
    row = store.connection.execute("SELECT minor FROM devices WHERE id = ?", (device_id,)).fetchone()
    return None if row is None or row["minor"] is None else Path(f"/dev/nvidia{row['minor']}")


def _campaign(db: Connection, row: Row, now: float) -> Campaign:
    setting = db.execute("SELECT * FROM settings WHERE id = ?", (row["setting_id"],)).fetchone()
    since = row["running_since"]
    return Campaign(
        tag=row["tag"],
        state=CampaignState(row["state"]),
        wanted=Wanted(row["wanted"]),
        reason=row["reason"],
        base_commit=row["base_commit"],
        metric=row["metric"],
        direction=Direction(row["direction"]),
        setting=Setting(
            id=setting["id"],
            referee_hash=setting["referee_hash"],
            data_fingerprint=setting["data_fingerprint"],
            metric=setting["metric"],
            budget_s=setting["budget_s"],
            clock=Clock(setting["clock"]),
            device_kind=setting["device_kind"],
        ),
        limits=Limits(row["limit_experiments"], row["limit_hours"], row["limit_usd"], row["limit_usd_each"]),
        started_at=row["started_at"],
        running_s=row["running_s"] + (now - since if since is not None else 0.0),
        drafts_ahead=row["drafts_ahead"],
        approve=bool(row["approve"]),
    )


def _agents(db: Connection, tag: str) -> tuple[Agent, ...]:
    spending = spending_by(db, tag, "agent")
    rows = db.execute("SELECT * FROM agents WHERE tag = ? ORDER BY rowid", (tag,))
    return tuple(_agent(row, spending.get(row["name"], Spending())) for row in rows)


def _agent(row: Row, spending: Spending) -> Agent:
    return Agent(
        name=row["name"],
        role=Role(row["role"]),
        backend=row["backend"],
        state=AgentState(row["state"]),
        state_since=row["state_since"],
        wanted=Wanted(row["wanted"]),
        doing=row["doing"],
        waiting_for=row["waiting_for"],
        branch=row["branch"],
        incumbent_id=None if row["incumbent_id"] is None else ids.experiment_id(row["incumbent_id"]),
        heartbeat_at=row["heartbeat_at"],
        restarts=row["restarts"],
        spending=spending,
        model=row["model"],
        parked_until=row["parked_until"],
        mode=Mode(row["mode"]),
    )


def _devices(db: Connection) -> tuple[Device, ...]:
    rows = db.execute(
        "SELECT devices.*, leases.run_id FROM devices LEFT JOIN leases ON leases.device = devices.id "
        "WHERE in_use = 1 OR leases.run_id IS NOT NULL ORDER BY devices.rowid"
    )
    return tuple(
        Device(
            id=row["id"],
            kind=row["kind"],
            label=row["label"],
            run_id=row["run_id"],
            since=row["since"],
            problem=row["problem"] or ("" if row["in_use"] else NOT_OF_THIS_LAUNCH),
            uuid=row["uuid"],
            neighbour=row["neighbour"],
            avoided=bool(row["avoided"]),
            reading=None if row["reading"] is None else _reading(json.loads(row["reading"])),
        )
        for row in rows
    )


def _hypotheses(db: Connection, tag: str) -> tuple[Hypothesis, ...]:
    tests = {
        row["hypothesis_id"]: ids.experiment_id(row["id"])
        for row in db.execute("SELECT id, hypothesis_id FROM experiments WHERE tag = ? ORDER BY id", (tag,))
    }
    return tuple(
        Hypothesis(
            id=ids.hypothesis_id(row["id"]),
            title=row["title"],
            rationale=row["rationale"],
            change=row["change"],
            expected_gain=row["expected_gain"],
            category=row["category"],
            state=HypothesisState(row["state"]),
            author=row["author"],
            position=row["position"],
            created_at=row["created_at"],
            edit=row["edit"],
            parent_id=None if row["parent_id"] is None else ids.experiment_id(row["parent_id"]),
            risk=row["risk"],
            builds_on=tuple(row["builds_on"].split()),
            falsified_by=row["falsified_by"],
            independent=None if row["independent"] is None else bool(row["independent"]),
            claimed_by=row["claimed_by"],
            experiment_id=tests.get(row["id"]),
        )
        for row in db.execute("SELECT * FROM hypotheses WHERE tag = ? ORDER BY position", (tag,))
    )


def _experiments(db: Connection, tag: str, purpose: str = "research") -> tuple[Experiment, ...]:
    runs: Mapping[int, list[Run]] = defaultdict(list)
    for row in db.execute(
        "SELECT runs.* FROM runs JOIN experiments ON experiments.id = runs.experiment_id WHERE tag = ? "
        "ORDER BY experiment_id, ordinal",
        (tag,),
    ):
        runs[row["experiment_id"]].append(_run(row))
    flags: Mapping[int, list[Flag]] = defaultdict(list)
    for row in db.execute(
        "SELECT flags.* FROM flags JOIN experiments ON experiments.id = flags.experiment_id WHERE tag = ? "
        "ORDER BY experiment_id, path, line, rule",
        (tag,),
    ):
        flag = Flag(row["rule"], row["path"], row["line"], row["excerpt"], row["detail"])
        flags[row["experiment_id"]].append(flag)
    rows = db.execute("SELECT * FROM experiments WHERE tag = ? AND purpose = ? ORDER BY id", (tag, purpose))
    spending = spending_by(db, tag, "experiment_id")
    return tuple(
        _experiment(
            row, runs.get(row["id"], ()), flags.get(row["id"], ()), spending.get(row["id"], Spending())
        )
        for row in rows
    )


def _experiment(row: Row, runs: Sequence[Run], flags: Sequence[Flag], spending: Spending) -> Experiment:
    return Experiment(
        id=ids.experiment_id(row["id"]),
        agent=row["agent"],
        title=row["title"],
        state=ExperimentState(row["state"]),
        parent_id=None if row["parent_id"] is None else ids.experiment_id(row["parent_id"]),
        parent_commit=row["parent_commit"],
        setting_id=row["setting_id"],
        created_at=row["created_at"],
        branch=row["branch"],
        commit=row["commit_sha"],
        hypothesis_id=None if row["hypothesis_id"] is None else ids.hypothesis_id(row["hypothesis_id"]),
        verdict=None if row["verdict"] is None else Verdict(row["verdict"]),
        reason=row["reason"],
        expectation=row["expectation"],
        edit=row["edit"],
        reflection=row["reflection"],
        gain=row["gain"],
        gain_low=row["gain_low"],
        gain_high=row["gain_high"],
        confidence=row["confidence"],
        ready_at=row["ready_at"],
        decided_at=row["decided_at"],
        spending=spending,
        lines_added=row["lines_added"],
        lines_removed=row["lines_removed"],
        runs=tuple(runs),
        flags=tuple(flags),
    )


def _run(row: Row) -> Run:
    return Run(
        id=row["id"],
        experiment_id=ids.experiment_id(row["experiment_id"]),
        kind=RunKind(row["kind"]),
        ordinal=row["ordinal"],
        seed=row["seed"],
        state=RunState(row["state"]),
        queued_at=row["queued_at"],
        device=row["device"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        ending=None if row["ending"] is None else RunEnding(row["ending"]),
        reason=row["reason"],
        metric=row["metric"],
        training_s=row["training_s"],
        total_s=row["total_s"],
        cpu_per_wall=row["cpu_per_wall"],
        peak_memory_mb=row["peak_memory_mb"],
        steps=row["steps"],
        tokens=row["tokens"],
        holdout=row["holdout"],
        starting_cpu_s=row["starting_cpu_s"],
        evaluating_cpu_s=row["evaluating_cpu_s"],
        evaluated_bytes=row["evaluated_bytes"],
        attempt=row["attempt"],
        also=json.loads(row["also"]) if row["also"] else {},
        disturbed=row["disturbed"],
        voided=tuple(json.loads(row["voided"])),
        progress=None if row["progress"] is None else _progress(json.loads(row["progress"])),
    )


def _reading(data: dict[str, Any]) -> GpuReading:
    return GpuReading(**{**data, "throttled": tuple(Throttle(reason) for reason in data["throttled"])})


def _progress(data: dict[str, Any]) -> RunProgress:
    return RunProgress(**{**data, "phase": RunPhase(data["phase"])})


def _events(db: Connection, tag: str) -> tuple[Event, ...]:
    rows = db.execute(
        "SELECT * FROM events WHERE tag = ? ORDER BY id DESC LIMIT ?", (tag, EVENTS_SHOWN)
    ).fetchall()
    return tuple(Event(row["id"], row["at"], row["agent"], row["text"]) for row in reversed(rows))
