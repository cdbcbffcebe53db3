"""Writing: settings, campaigns, events."""

from __future__ import annotations

from supervisor.model import ids
from supervisor.model.records import NewCampaign
from supervisor.model.snapshot import Limits, Setting
from supervisor.model.states import AgentState, CampaignState, RunKind, Verdict, Wanted
from supervisor.store.connection import Connection, Store


def start_campaign(store: Store, new: NewCampaign, now: float) -> str:
    """Record a new campaign and its baseline with the runs it needs; returns the baseline's id."""
    with store.transaction() as db:
        record_setting(db, new.setting)
        db.execute(
            "INSERT INTO campaigns (tag, state, wanted, base_commit, metric, direction, setting_id, "
            "limit_experiments, limit_hours, limit_usd, limit_usd_each, started_at, running_since, drafts_ahead, "
            "approve, seed) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                new.tag,
                CampaignState.RUNNING,
                Wanted.RUNNING,
                new.base_commit,
                new.metric,
                new.direction,
                new.setting.id,
                new.limits.experiments,
                new.limits.hours,
                new.limits.usd,
                new.limits.usd_each,
                now,
                now,
                new.drafts_ahead,
                new.approve,
                new.seed,
            ),
        )
        first = db.execute("SELECT count(*) FROM experiments").fetchone()[0] == 0
        row = db.execute(
            "INSERT INTO experiments (id, tag, agent, title, state, parent_commit, commit_sha, setting_id, created_at, "
            "ready_at) VALUES (?,?,'','the code as it stands','ready',?,?,?,?,?)",
            (0 if first else None, new.tag, new.base_commit, new.base_commit, new.setting.id, now, now),
        )
        baseline = row.lastrowid or 0
        db.execute("UPDATE campaigns SET baseline_id = ? WHERE tag = ?", (baseline, new.tag))
        for _ in range(new.baseline_runs):
            insert_run(db, new.tag, baseline, RunKind.BASELINE, now)
        record_event(db, new.tag, now, "", f"campaign {new.tag} started from {new.base_commit[:7]}")
    return ids.experiment_id(baseline)


def record_setting(db: Connection, setting: Setting) -> None:
    """Make the setting known; the same one twice is one."""
    db.execute(
        "INSERT OR IGNORE INTO settings VALUES (?,?,?,?,?,?,?)",
        (
            setting.id,
            setting.referee_hash,
            setting.data_fingerprint,
            setting.metric,
            setting.budget_s,
            setting.clock,
            setting.device_kind,
        ),
    )


def insert_run(
    db: Connection, tag: str, experiment: int, kind: RunKind, now: float, ordinal: int | None = None
) -> str:
    """Queue a run of an experiment, the next one or that `ordinal`; its ordinal picks the seed of the campaign."""
    ordinal = ordinal or int(
        db.execute(
            "SELECT coalesce(max(ordinal), 0) + 1 FROM runs WHERE experiment_id = ?", (experiment,)
        ).fetchone()[0]
    )
    campaign_seed = int(db.execute("SELECT seed FROM campaigns WHERE tag = ?", (tag,)).fetchone()[0])
    run = ids.run_id(experiment, ordinal)
    db.execute(
        "INSERT INTO runs (id, experiment_id, kind, ordinal, seed, state, queued_at) VALUES (?,?,?,?,?,'queued',?)",
        (run, experiment, kind, ordinal, campaign_seed + ordinal, now),
    )
    return run


def record_event(db: Connection, tag: str, now: float, agent: str, text: str) -> None:
    """One line of what happened."""
    db.execute("INSERT INTO events (tag, at, agent, text) VALUES (?,?,?,?)", (tag, now, agent, text))


def log_event(store: Store, tag: str, now: float, agent: str, text: str) -> None:
    """As `record_event`, in a transaction of its own."""
    with store.transaction() as db:
        record_event(db, tag, now, agent, text)


def set_campaign_state(store: Store, tag: str, state: CampaignState, reason: str, now: float) -> None:
    """Move the campaign to another state and keep its running time."""
    with store.transaction() as db:
        row = db.execute(
            "SELECT state, running_since, running_s FROM campaigns WHERE tag = ?", (tag,)
        ).fetchone()
        if row["state"] == state:
            return
        running_s = row["running_s"] + (now - row["running_since"] if row["running_since"] else 0.0)
        since = now if state is CampaignState.RUNNING else None
        db.execute(
            "UPDATE campaigns SET state = ?, reason = ?, running_since = ?, running_s = ? WHERE tag = ?",
            (state, reason, since, running_s, tag),
        )
        record_event(db, tag, now, "", f"campaign {state}" + (f": {reason}" if reason else ""))


def want_campaign(store: Store, tag: str, wanted: Wanted, now: float) -> None:
    """Ask for the whole campaign to run, pause or stop; the supervisor obeys."""
    with store.transaction() as db:
        db.execute("UPDATE campaigns SET wanted = ? WHERE tag = ?", (wanted, tag))
        record_event(db, tag, now, "", f"the person wants the campaign {wanted}")


def resume_campaign(store: Store, tag: str, limits: Limits, now: float) -> None:
    """Let a stopped, paused or finished campaign go on under these limits; agents that had stopped are wanted again."""
    with store.transaction() as db:
        row = db.execute("SELECT state, running_since FROM campaigns WHERE tag = ?", (tag,)).fetchone()
        db.execute(
            "UPDATE campaigns SET state = ?, wanted = ?, reason = '', running_since = ?, "
            "limit_experiments = ?, limit_hours = ?, limit_usd = ?, limit_usd_each = ? WHERE tag = ?",
            (
                CampaignState.RUNNING,
                Wanted.RUNNING,
                row["running_since"] or now,
                limits.experiments,
                limits.hours,
                limits.usd,
                limits.usd_each,
                tag,
            ),
        )
        if row["state"] != CampaignState.RUNNING:
            db.execute(
                "UPDATE agents SET wanted = ?, restarts = 0 WHERE tag = ? AND state IN (?, ?)",
                (Wanted.RUNNING, tag, AgentState.STOPPED, AgentState.CRASHED),
            )
            record_event(db, tag, now, "", "campaign resumed")


def decide_baseline(store: Store, tag: str, experiment: str, now: float, text: str) -> None:
    """The baseline has the runs it needs: it is what every junior starts from."""
    number = ids.number_of(experiment)
    with store.transaction() as db:
        db.execute(
            "UPDATE experiments SET state = 'decided', verdict = ?, decided_at = ?, reason = ? WHERE id = ?",
            (Verdict.BASELINE, now, text, number),
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
    learned = "SELECT 1 FROM experiments WHERE tag = ? AND decided_at > ? LIMIT 1"
    if last is not None and not last["added"] and not db.execute(learned, (tag, last["done_at"])).fetchone():
        return False
    with store.transaction() as db:
        db.execute(
            "INSERT INTO requests (tag, kind, detail, made_at) VALUES (?, 'plan', ?, ?)", (tag, detail, now)
        )
    return True


def open_plan_request(store: Store, tag: str) -> tuple[int, str] | None:
    """The request that the chief should answer now: (number, why)."""
    row = store.connection.execute(
        "SELECT id, detail FROM requests WHERE tag = ? AND kind = 'plan' AND done_at IS NULL ORDER BY id LIMIT 1",
        (tag,),
    ).fetchone()
    return (row["id"], row["detail"]) if row else None


def close_plan_request(store: Store, number: int, added: int, now: float) -> None:
    """The chief answered with `added` hypotheses."""
    with store.transaction() as db:
        db.execute("UPDATE requests SET done_at = ?, added = ? WHERE id = ?", (now, added, number))
