"""Writing: settings, campaigns, events."""

from __future__ import annotations

from supervisor.model import ids
from supervisor.model.records import Canary, NewCampaign
from supervisor.model.snapshot import Limits, Setting
from supervisor.model.states import (
    AgentState,
    CampaignState,
    ExperimentState,
    RunKind,
    RunState,
    Verdict,
    Wanted,
)
from supervisor.store import rows
from supervisor.store.connection import Connection, Store

_LEARNED = "SELECT 1 FROM experiments WHERE tag = ? AND decided_at > ? LIMIT 1"


def start_campaign(store: Store, new: NewCampaign, now: float) -> str:
    """Record a new campaign and its baseline with the runs it needs; returns the baseline's id."""
    with store.transaction() as db:
        setting = _setting_id(db, new.setting)
        rows.insert(
            db,
            "campaigns",
            rows.columns_of(new, without=("setting", "limits", "baseline_runs", "canaries", "asked"))
            | _limits(new.limits)
            | _asked(new.asked or Limits()),
            setting_id=setting,
            state=CampaignState.RUNNING,
            wanted=Wanted.RUNNING,
            started_at=now,
            running_since=now,
        )
        first = db.execute("SELECT count(*) FROM experiments").fetchone()[0] == 0
        baseline = rows.insert(
            db,
            "experiments",
            id=0 if first else None,
            tag=new.tag,
            agent="",
            title="the code as it stands",
            state=ExperimentState.READY,
            parent_commit=new.base_commit,
            commit_sha=new.base_commit,
            setting_id=setting,
            created_at=now,
            ready_at=now,
        )
        rows.update(db, "campaigns", {"tag": new.tag}, baseline_id=baseline)
        for _ in range(new.baseline_runs):
            insert_run(db, new.tag, baseline, RunKind.BASELINE, now)
        for number, canary in enumerate(new.canaries, start=1):
            _insert_canary(db, baseline, number, canary, new.seed + 1, now)
        record_event(db, new.tag, now, "", f"campaign {new.tag} started from {new.base_commit[:7]}")
    return ids.experiment_id(baseline)


def insert_run(
    db: Connection, tag: str, experiment: int, kind: RunKind, now: float, ordinal: int | None = None
) -> str:
    """Queue a run of an experiment, the next one or that `ordinal`; its ordinal picks the seed of the campaign."""
    query = "SELECT coalesce(max(ordinal), 0) + 1 FROM runs WHERE experiment_id = ?"
    ordinal = ordinal or int(db.execute(query, (experiment,)).fetchone()[0])
    (campaign_seed,) = db.execute("SELECT seed FROM campaigns WHERE tag = ?", (tag,)).fetchone()
    run = ids.run_id(experiment, ordinal)
    rows.insert(
        db,
        "runs",
        id=run,
        experiment_id=experiment,
        kind=kind,
        ordinal=ordinal,
        seed=campaign_seed + ordinal,
        state=RunState.QUEUED,
        queued_at=now,
    )
    return run


def _insert_canary(db: Connection, baseline: int, number: int, canary: Canary, seed: int, now: float) -> None:
    # Below the ordinals of the baseline's own runs, on the seed of the first: without effect it measures the same.
    values = rows.columns_of(canary) | {
        "id": ids.canary_id(baseline, number),
        "ordinal": -number,
        "seed": seed,
    }
    rows.insert(
        db, "runs", values, experiment_id=baseline, kind=RunKind.CANARY, state=RunState.QUEUED, queued_at=now
    )


def record_event(db: Connection, tag: str, now: float, agent: str, text: str) -> None:
    """One line of what happened."""
    rows.insert(db, "events", tag=tag, at=now, agent=agent, text=text)


def log_event(store: Store, tag: str, now: float, agent: str, text: str) -> None:
    """As `record_event`, in a transaction of its own."""
    with store.transaction() as db:
        record_event(db, tag, now, agent, text)


def set_campaign_state(store: Store, tag: str, state: CampaignState, reason: str, now: float) -> None:
    """Move the campaign to another state and keep its running time."""
    with store.transaction() as db:
        query = "SELECT state, running_since, running_s FROM campaigns WHERE tag = ?"
        last_state, since, before_s = db.execute(query, (tag,)).fetchone()
        if last_state == state:
            return
        rows.update(
            db,
            "campaigns",
            {"tag": tag},
            state=state,
            reason=reason,
            running_since=now if state is CampaignState.RUNNING else None,
            running_s=before_s + (now - since if since else 0.0),
        )
        record_event(db, tag, now, "", f"campaign {state}" + (f": {reason}" if reason else ""))


def want_campaign(store: Store, tag: str, wanted: Wanted, now: float) -> None:
    """Ask for the whole campaign to run, pause or stop; the supervisor obeys."""
    with store.transaction() as db:
        rows.update(db, "campaigns", {"tag": tag}, wanted=wanted)
        record_event(db, tag, now, "", f"the person wants the campaign {wanted}")


def resume_campaign(store: Store, tag: str, limits: Limits, now: float, asked: Limits | None = None) -> None:
    """Let a stopped, paused or finished campaign go on under these limits; agents that had stopped are wanted again."""
    with store.transaction() as db:
        query = "SELECT state, running_since FROM campaigns WHERE tag = ?"
        last_state, since = db.execute(query, (tag,)).fetchone()
        rows.update(
            db,
            "campaigns",
            {"tag": tag},
            _limits(limits)
            | {name: value for name, value in _asked(asked or Limits()).items() if value is not None},
            state=CampaignState.RUNNING,
            wanted=Wanted.RUNNING,
            reason="",
            running_since=since or now,
        )
        if last_state != CampaignState.RUNNING:
            ended = {"tag": tag, "state": frozenset({AgentState.STOPPED, AgentState.CRASHED})}
            rows.update(db, "agents", ended, wanted=Wanted.RUNNING, restarts=0)
            record_event(db, tag, now, "", "campaign resumed")


def _setting_id(db: Connection, setting: Setting) -> str:
    """The setting's id, or that of one that says the same: an earlier version named it otherwise."""
    content = rows.columns_of(setting, without=("id",))
    same = " AND ".join(f"{column} = ?" for column in content)
    found = db.execute(f"SELECT id FROM settings WHERE {same}", tuple(content.values())).fetchone()
    if found is not None:
        return str(found[0])
    rows.insert(db, "settings", content, id=setting.id)
    return setting.id


def record_details(store: Store, setting: Setting) -> None:
    """Write down what a setting of an earlier version left unsaid."""
    with store.transaction() as db:
        rows.update(db, "settings", {"id": setting.id, "details": ""}, rows.columns_of(setting))


def record_seen_commit(store: Store, tag: str, commit: str) -> None:
    """The person goes on with the campaign although this commit is checked out."""
    with store.transaction() as db:
        rows.update(db, "campaigns", {"tag": tag}, seen_commit=commit)


def decide_baseline(store: Store, tag: str, experiment: str, now: float, text: str) -> None:
    """The baseline has the runs it needs: it is what every junior starts from."""
    with store.transaction() as db:
        rows.update(
            db,
            "experiments",
            {"id": ids.number_of(experiment)},
            state=ExperimentState.DECIDED,
            verdict=Verdict.BASELINE,
            decided_at=now,
            reason=text,
        )
        record_event(db, tag, now, "", f"baseline: {text}")


def request_plan(store: Store, tag: str, detail: str, now: float) -> bool:
    """Ask the chief for hypotheses; False when it is at it, or had none and nothing was learned since."""
    db = store.connection
    last = db.execute(
        "SELECT done_at, added FROM requests WHERE tag = ? ORDER BY id DESC LIMIT 1", (tag,)
    ).fetchone()
    if last is not None and last["done_at"] is None:
        return False
    if last is not None and not last["added"] and not db.execute(_LEARNED, (tag, last["done_at"])).fetchone():
        return False
    with store.transaction() as db:
        rows.insert(db, "requests", tag=tag, kind="plan", detail=detail, made_at=now)
    return True


def chief_had_nothing(store: Store, tag: str) -> bool:
    """Whether the chief's last answer brought no hypothesis, and nothing was learned since then."""
    row = store.connection.execute(
        "SELECT done_at, added FROM requests WHERE tag = ? ORDER BY id DESC LIMIT 1", (tag,)
    ).fetchone()
    if row is None or row["done_at"] is None or row["added"]:
        return False
    return store.connection.execute(_LEARNED, (tag, row["done_at"])).fetchone() is None


def open_plan_request(store: Store, tag: str) -> tuple[int, str] | None:
    """The request that the chief should answer now: (number, why)."""
    row = store.connection.execute(
        "SELECT id, detail FROM requests WHERE tag = ? AND done_at IS NULL ORDER BY id LIMIT 1", (tag,)
    ).fetchone()
    return tuple(row) if row else None


def close_plan_request(store: Store, number: int, added: int, now: float) -> None:
    """The chief answered with `added` hypotheses."""
    with store.transaction() as db:
        rows.update(db, "requests", {"id": number}, done_at=now, added=added)


def _asked(asked: Limits) -> dict[str, float | None]:
    return {f"asked_{name}": value for name, value in rows.columns_of(asked, without=("usd_each",)).items()}


def _limits(limits: Limits) -> dict[str, float | None]:
    return {f"limit_{name}": value for name, value in rows.columns_of(limits).items()}
