"""Writing: experiments, from the claim to the reflection."""

from __future__ import annotations

from collections.abc import Iterable

from supervisor.model import ids
from supervisor.model.experiment import Flag
from supervisor.model.records import Draft, Judgement
from supervisor.model.snapshot import Hypothesis
from supervisor.model.states import PORT, ExperimentState, HypothesisState, RunKind, Verdict
from supervisor.store.campaigns import insert_run, record_event
from supervisor.store.connection import Connection, Store
from supervisor.store.hypotheses import claim_hypothesis, insert_hypotheses
from supervisor.store.runs import drop_flags, insert_flags, replace_audit

_IN_FLIGHT = (ExperimentState.DRAFTING, ExperimentState.READY, ExperimentState.MEASURING)


def begin_experiment(
    store: Store, tag: str, agent: str, now: float, *, without_hypothesis: bool, own_idea: bool = False
) -> str | None:
    """Claim the next hypothesis and open an experiment for it, in one step; returns the experiment's id.

    None when the plan is empty (unless `without_hypothesis`) or the campaign's limit of experiments is spoken for.
    With `own_idea` the plan is left alone.
    """
    with store.transaction() as db:
        campaign = db.execute("SELECT * FROM campaigns WHERE tag = ?", (tag,)).fetchone()
        if (
            campaign["limit_experiments"] is not None
            and _spoken_for(db, tag) >= campaign["limit_experiments"]
        ):
            return None
        hypothesis = None if own_idea else claim_hypothesis(db, tag, agent, now)
        if hypothesis is None and not (without_hypothesis or own_idea):
            return None
        row = db.execute("SELECT parent_id, title FROM hypotheses WHERE id = ?", (hypothesis,)).fetchone()
        own = db.execute(
            "SELECT branch, incumbent_id FROM agents WHERE tag = ? AND name = ?", (tag, agent)
        ).fetchone()
        parent = row["parent_id"] if row and row["parent_id"] is not None else own["incumbent_id"]
        commit = db.execute("SELECT commit_sha FROM experiments WHERE id = ?", (parent,)).fetchone()[0]
        inserted = db.execute(
            "INSERT INTO experiments (tag, agent, title, state, parent_id, parent_commit, setting_id, created_at, "
            "branch, hypothesis_id) VALUES (?,?,?,?,?,?,?,?,?,?)",
            (
                tag,
                agent,
                row["title"] if row else "an idea of its own",
                ExperimentState.DRAFTING,
                parent,
                commit,
                campaign["setting_id"],
                now,
                own["branch"],
                hypothesis,
            ),
        )
        return ids.experiment_id(int(inserted.lastrowid or 0))


def _spoken_for(db: Connection, tag: str) -> int:
    return int(
        db.execute(
            "SELECT count(*) FROM experiments WHERE tag = ? AND coalesce(verdict, '') != ? AND agent != ''",
            (tag, Verdict.BASELINE),
        ).fetchone()[0]
    )


def source_was_tried(store: Store, tag: str, source_hash: str) -> str | None:
    """The experiment that tries this very source in this campaign, or has its verdict from an earlier one.

    One that was better, but whose branch had gone on, is to be tried again: it counts once that was done.
    """
    rows = store.connection.execute(
        "SELECT id, verdict FROM experiments WHERE source_hash = ? AND (tag = ? OR (state = ? AND setting_id = "
        "(SELECT setting_id FROM campaigns WHERE tag = ?))) ORDER BY id",
        (source_hash, tag, ExperimentState.DECIDED, tag),
    )
    tried = ((ids.experiment_id(row["id"]), row["verdict"]) for row in rows)
    return next((twin for twin, verdict in tried if not _is_to_be_ported(store, tag, twin, verdict)), None)


def _is_to_be_ported(store: Store, tag: str, experiment: str, verdict: str | None) -> bool:
    port = (
        "SELECT 1 FROM hypotheses WHERE tag = ? AND category = ? "
        "AND CASE WHEN json_valid(edit) THEN json_extract(edit, '$.port_of') END = ?"
    )
    asked = (tag, PORT, experiment)
    return verdict == Verdict.DISCARD and store.connection.execute(port, asked).fetchone() is not None


def record_ready(
    store: Store, tag: str, experiment: str, draft: Draft, now: float, flags: Iterable[Flag] = ()
) -> None:
    """The edit is committed and guarded: its first run joins the queue, with what the audit flagged."""
    number = ids.number_of(experiment)
    with store.transaction() as db:
        changed = db.execute(
            "UPDATE experiments SET state = ?, commit_sha = ?, title = ?, expectation = ?, edit = ?, source_hash = ?, "
            "lines_added = ?, lines_removed = ?, ready_at = ?, reason = '' "
            "WHERE id = ? AND state = ?",
            (
                ExperimentState.READY,
                draft.commit,
                draft.title,
                draft.expectation,
                draft.edit,
                draft.source_hash,
                draft.lines_added,
                draft.lines_removed,
                now,
                number,
                ExperimentState.DRAFTING,
            ),
        )
        if changed.rowcount:
            replace_audit(db, number, flags)
            insert_run(db, tag, number, RunKind.CANDIDATE, now)
            agent = _agent_of(db, number)
            record_event(db, tag, now, agent, f"{experiment} ready: {draft.title}")


def release_experiment(store: Store, experiment: str, *, last: bool = False) -> None:
    """Drop a draft that never became a commit and put its hypothesis back into the plan, or at its end."""
    number = ids.number_of(experiment)
    with store.transaction() as db:
        row = db.execute("SELECT hypothesis_id, state FROM experiments WHERE id = ?", (number,)).fetchone()
        if row is None or row["state"] != ExperimentState.DRAFTING:
            return
        _drop_what_refers_to(db, number)
        db.execute("DELETE FROM experiments WHERE id = ?", (number,))
        db.execute(
            "UPDATE hypotheses SET state = ?, claimed_by = NULL WHERE id = ?",
            (HypothesisState.OPEN, row["hypothesis_id"]),
        )
        if last:
            db.execute(
                "UPDATE hypotheses SET position = 1 + (SELECT max(position) FROM hypotheses) WHERE id = ?",
                (row["hypothesis_id"],),
            )


def withdraw_experiment(store: Store, tag: str, experiment: str, reason: str, now: float) -> None:
    """Drop a draft whose hypothesis cannot be applied to this canvas; the plan remembers why."""
    number = ids.number_of(experiment)
    with store.transaction() as db:
        row = db.execute("SELECT hypothesis_id, agent FROM experiments WHERE id = ?", (number,)).fetchone()
        _drop_what_refers_to(db, number)
        db.execute("DELETE FROM experiments WHERE id = ? AND state = ?", (number, ExperimentState.DRAFTING))
        if row["hypothesis_id"] is not None:
            db.execute(
                "UPDATE hypotheses SET state = ?, rationale = rationale || ? WHERE id = ?",
                (HypothesisState.WITHDRAWN, f"\n\nWithdrawn: {reason}", row["hypothesis_id"]),
            )
            record_event(
                db, tag, now, row["agent"], f"{ids.hypothesis_id(row['hypothesis_id'])} withdrawn: {reason}"
            )


def record_verdict(
    store: Store,
    tag: str,
    experiment: str,
    judgement: Judgement,
    now: float,
    *,
    new_incumbent: bool = False,
    retry: Hypothesis | None = None,
    draft: Draft | None = None,
    flags: Iterable[Flag] = (),
) -> bool:
    """End an experiment, in one step with all that follows from it; False when it was decided already.

    With `new_incumbent` its agent builds on it from now on. With `retry` its idea goes back into the plan, ahead of
    everything. `draft` and `flags` carry what an agent wrote when the guard refused it.
    """
    number = ids.number_of(experiment)
    with store.transaction() as db:
        row = db.execute("SELECT * FROM experiments WHERE id = ?", (number,)).fetchone()
        if row["state"] == ExperimentState.DECIDED:
            return False
        insert_flags(db, number, flags)
        if draft is not None:
            db.execute(
                "UPDATE experiments SET title = ?, expectation = ?, edit = ?, source_hash = ?, lines_added = ?, "
                "lines_removed = ?, commit_sha = ? WHERE id = ?",
                (
                    draft.title,
                    draft.expectation,
                    draft.edit,
                    draft.source_hash,
                    draft.lines_added,
                    draft.lines_removed,
                    draft.commit or None,
                    number,
                ),
            )
        db.execute(
            "UPDATE experiments SET state = ?, verdict = ?, reason = ?, gain = ?, gain_low = ?, gain_high = ?, "
            "confidence = ?, decided_at = ? WHERE id = ?",
            (
                ExperimentState.DECIDED,
                judgement.verdict,
                judgement.reason,
                judgement.gain,
                judgement.gain_low,
                judgement.gain_high,
                judgement.confidence,
                now,
                number,
            ),
        )
        db.execute("DELETE FROM runs WHERE experiment_id = ? AND state = 'queued'", (number,))
        db.execute(
            "UPDATE hypotheses SET state = ? WHERE id = ?", (HypothesisState.TESTED, row["hypothesis_id"])
        )
        if new_incumbent:
            db.execute(
                "UPDATE agents SET incumbent_id = ? WHERE tag = ? AND name = ?", (number, tag, row["agent"])
            )
        if retry is not None:
            insert_hypotheses(db, tag, row["agent"], (retry,), HypothesisState.OPEN, now, first=True)
        title = draft.title if draft else row["title"]
        record_event(
            db, tag, now, row["agent"], f"{experiment} {judgement.verdict}: {title} ({judgement.reason})"
        )
    return True


def send_back(store: Store, tag: str, experiment: str, new_parent: str, now: float) -> bool:
    """A draft whose parent is no longer its agent's incumbent, and which has not run: redraft it on the new one."""
    number, parent = ids.number_of(experiment), ids.number_of(new_parent)
    with store.transaction() as db:
        # Runs of a commit that crashed and was mended are history.
        ran = (
            "SELECT 1 FROM runs JOIN experiments e ON e.id = experiment_id "
            "WHERE experiment_id = ? AND runs.state != 'queued' AND queued_at >= coalesce(e.ready_at, 0)"
        )
        if db.execute(ran, (number,)).fetchone():
            return False
        commit = db.execute("SELECT commit_sha FROM experiments WHERE id = ?", (parent,)).fetchone()[0]
        changed = db.execute(
            "UPDATE experiments SET state = ?, parent_id = ?, parent_commit = ?, source_hash = NULL, reason = ? "
            "WHERE id = ? AND state = ?",
            (
                ExperimentState.DRAFTING,
                parent,
                commit,
                f"to be redrafted on {new_parent}",
                number,
                ExperimentState.READY,
            ),
        )
        if not changed.rowcount:
            return False
        db.execute("DELETE FROM runs WHERE experiment_id = ? AND state = 'queued'", (number,))
        record_event(
            db, tag, now, _agent_of(db, number), f"{experiment} goes back to be redrafted on {new_parent}"
        )
    return True


def send_to_mend(store: Store, tag: str, experiment: str, why: str, now: float) -> bool:
    """A draft whose first run crashed: its agent may mend it; the run stays on record."""
    number = ids.number_of(experiment)
    with store.transaction() as db:
        changed = db.execute(
            "UPDATE experiments SET state = ?, reason = ? WHERE id = ? AND state = ?",
            (ExperimentState.DRAFTING, f"to be mended: {why}", number, ExperimentState.MEASURING),
        )
        if not changed.rowcount:
            return False
        record_event(db, tag, now, _agent_of(db, number), f"{experiment} goes back to be mended: {why}")
    return True


def adopt_incumbent(store: Store, tag: str, agent: str, experiment: str, now: float, why: str) -> None:
    """The agent builds on another experiment's commit from now on."""
    with store.transaction() as db:
        db.execute(
            "UPDATE agents SET incumbent_id = ? WHERE tag = ? AND name = ?",
            (ids.number_of(experiment), tag, agent),
        )
        record_event(db, tag, now, agent, f"builds on {experiment} from now on: {why}")


def mark_published(store: Store, experiment: str, now: float) -> None:
    """Its branch, git notes, files and results.tsv row are written."""
    with store.transaction() as db:
        db.execute("UPDATE experiments SET published_at = ? WHERE id = ?", (now, ids.number_of(experiment)))


def unpublished_experiments(store: Store, tag: str) -> tuple[str, ...]:
    """Decided experiments whose verdict is not yet written to git and disk, oldest first."""
    rows = store.connection.execute(
        "SELECT id FROM experiments WHERE tag = ? AND state = ? AND published_at IS NULL ORDER BY decided_at, id",
        (tag, ExperimentState.DECIDED),
    )
    return tuple(ids.experiment_id(row["id"]) for row in rows)


def record_reflection(store: Store, experiment: str, text: str) -> None:
    """What the verdict taught its agent."""
    with store.transaction() as db:
        number = ids.number_of(experiment)
        db.execute("UPDATE experiments SET reflection = ? WHERE id = ?", (text, number))


def _drop_what_refers_to(db: Connection, number: int) -> None:
    drop_flags(db, number)
    # What the thinking cost was spent all the same; its agent's sum has it.
    db.execute("UPDATE steps SET experiment_id = NULL WHERE experiment_id = ?", (number,))


def _agent_of(db: Connection, number: int) -> str:
    return str(db.execute("SELECT agent FROM experiments WHERE id = ?", (number,)).fetchone()[0])
