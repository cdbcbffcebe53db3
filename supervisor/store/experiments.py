"""Writing: experiments, from the claim to the reflection."""

from __future__ import annotations

from collections.abc import Iterable

from supervisor.model import ids
from supervisor.model.experiment import Flag
from supervisor.model.records import Draft, Judgement
from supervisor.model.snapshot import Hypothesis
from supervisor.model.states import PORT, ExperimentState, HypothesisState, RunKind, RunState, Verdict
from supervisor.store import rows
from supervisor.store.campaigns import insert_run, record_event
from supervisor.store.connection import Connection, Store
from supervisor.store.hypotheses import claim_hypothesis, insert_hypotheses
from supervisor.store.runs import drop_queued_runs, insert_flags, replace_audit


def begin_experiment(
    store: Store, tag: str, agent: str, now: float, *, without_hypothesis: bool, own_idea: bool = False
) -> str | None:
    """Claim the next hypothesis and open an experiment for it, in one step; returns the experiment's id.

    None when the plan is empty (unless `without_hypothesis`) or the campaign's limit of experiments is spoken for.
    With `own_idea` the plan is left alone.
    """
    with store.transaction() as db:
        setting, limit = db.execute(
            "SELECT setting_id, limit_experiments FROM campaigns WHERE tag = ?", (tag,)
        ).fetchone()
        if limit is not None and _spoken_for(db, tag) >= limit:
            return None
        hypothesis = None if own_idea else claim_hypothesis(db, tag, agent)
        if hypothesis is None and not (without_hypothesis or own_idea):
            return None
        query = "SELECT title, parent_id FROM hypotheses WHERE id = ?"
        title, parent = db.execute(query, (hypothesis,)).fetchone() or ("an idea of its own", None)
        branch, incumbent = db.execute(
            "SELECT branch, incumbent_id FROM agents WHERE tag = ? AND name = ?", (tag, agent)
        ).fetchone()
        parent = incumbent if parent is None else parent
        number = rows.insert(
            db,
            "experiments",
            tag=tag,
            agent=agent,
            title=title,
            state=ExperimentState.DRAFTING,
            parent_id=parent,
            parent_commit=_commit_of(db, parent),
            setting_id=setting,
            created_at=now,
            branch=branch,
            hypothesis_id=hypothesis,
        )
        return ids.experiment_id(number)


def _spoken_for(db: Connection, tag: str) -> int:
    query = "SELECT count(*) FROM experiments WHERE tag = ? AND coalesce(verdict, '') != ? AND agent != ''"
    return int(db.execute(query, (tag, Verdict.BASELINE)).fetchone()[0])


def source_was_tried(store: Store, tag: str, source_hash: str) -> str | None:
    """The experiment that tries this very source in this campaign, or has its verdict from an earlier one.

    One that was better, but whose branch had gone on, is to be tried again: it counts once that was done.
    """
    experiments = store.connection.execute(
        "SELECT id, verdict FROM experiments WHERE source_hash = ? AND (tag = ? OR (state = ? AND setting_id = "
        "(SELECT setting_id FROM campaigns WHERE tag = ?))) ORDER BY id",
        (source_hash, tag, ExperimentState.DECIDED, tag),
    )
    twins = ((ids.experiment_id(number), verdict) for number, verdict in experiments)
    return next((twin for twin, verdict in twins if not _is_to_be_ported(store, tag, twin, verdict)), None)


def _is_to_be_ported(store: Store, tag: str, experiment: str, verdict: str | None) -> bool:
    port = (
        "SELECT 1 FROM hypotheses WHERE tag = ? AND category = ? "
        "AND CASE WHEN json_valid(edit) THEN json_extract(edit, '$.port_of') END = ?"
    )
    parameters = (tag, PORT, experiment)
    return verdict == Verdict.DISCARD and store.connection.execute(port, parameters).fetchone() is not None


def record_ready(
    store: Store, tag: str, experiment: str, draft: Draft, now: float, flags: Iterable[Flag] = ()
) -> None:
    """The edit is committed and guarded: its first run joins the queue, with what the audit flagged."""
    number = ids.number_of(experiment)
    with store.transaction() as db:
        drafting = {"id": number, "state": ExperimentState.DRAFTING}
        columns = rows.columns_of(draft)
        if rows.update(
            db, "experiments", drafting, columns, state=ExperimentState.READY, ready_at=now, reason=""
        ):
            replace_audit(db, number, flags)
            insert_run(db, tag, number, RunKind.CANDIDATE, now)
            agent = _agent_of(db, number)
            record_event(db, tag, now, agent, f"{experiment} ready: {draft.title}")


def release_experiment(store: Store, experiment: str, *, last: bool = False) -> None:
    """Drop a draft that never became a commit and put its hypothesis back into the plan, or at its end."""
    with store.transaction() as db:
        _, hypothesis = _drop_draft(db, ids.number_of(experiment)) or ("", None)
        if hypothesis is None:
            return
        rows.update(db, "hypotheses", {"id": hypothesis}, state=HypothesisState.OPEN, claimed_by=None)
        if last:
            end = "1 + (SELECT max(position) FROM hypotheses)"
            db.execute(f"UPDATE hypotheses SET position = {end} WHERE id = ?", (hypothesis,))


def withdraw_experiment(store: Store, tag: str, experiment: str, reason: str, now: float) -> None:
    """Drop a draft whose hypothesis cannot be applied to this canvas; the plan remembers why."""
    with store.transaction() as db:
        agent, hypothesis = _drop_draft(db, ids.number_of(experiment)) or ("", None)
        if hypothesis is not None:
            rows.update(db, "hypotheses", {"id": hypothesis}, state=HypothesisState.WITHDRAWN)
            remark = "UPDATE hypotheses SET rationale = rationale || ? WHERE id = ?"
            db.execute(remark, (f"\n\nWithdrawn: {reason}", hypothesis))
            record_event(db, tag, now, agent, f"{ids.hypothesis_id(hypothesis)} withdrawn: {reason}")


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
        query = "SELECT state, agent, title, hypothesis_id FROM experiments WHERE id = ?"
        row = db.execute(query, (number,)).fetchone()
        if row["state"] == ExperimentState.DECIDED:
            return False
        insert_flags(db, number, flags)
        if draft is not None:
            columns = {**rows.columns_of(draft), "commit_sha": draft.commit or None}
            rows.update(db, "experiments", {"id": number}, columns)
        verdict = rows.columns_of(judgement)
        rows.update(db, "experiments", {"id": number}, verdict, state=ExperimentState.DECIDED, decided_at=now)
        drop_queued_runs(db, number)
        rows.update(db, "hypotheses", {"id": row["hypothesis_id"]}, state=HypothesisState.TESTED)
        if new_incumbent:
            rows.update(db, "agents", {"tag": tag, "name": row["agent"]}, incumbent_id=number)
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
            "WHERE experiment_id = ? AND runs.state != ? AND queued_at >= coalesce(e.ready_at, 0)"
        )
        if db.execute(ran, (number, RunState.QUEUED)).fetchone():
            return False
        ready = {"id": number, "state": ExperimentState.READY}
        redraft = {"parent_id": parent, "parent_commit": _commit_of(db, parent), "source_hash": None}
        reason = f"to be redrafted on {new_parent}"
        if not rows.update(db, "experiments", ready, redraft, state=ExperimentState.DRAFTING, reason=reason):
            return False
        drop_queued_runs(db, number)
        text = f"{experiment} goes back to be redrafted on {new_parent}"
        record_event(db, tag, now, _agent_of(db, number), text)
    return True


def send_to_mend(store: Store, tag: str, experiment: str, why: str, now: float) -> bool:
    """A draft whose first run crashed: its agent may mend it; the run stays on record."""
    number = ids.number_of(experiment)
    with store.transaction() as db:
        measuring = {"id": number, "state": ExperimentState.MEASURING}
        mending = {"state": ExperimentState.DRAFTING, "reason": f"to be mended: {why}"}
        if not rows.update(db, "experiments", measuring, mending):
            return False
        record_event(db, tag, now, _agent_of(db, number), f"{experiment} goes back to be mended: {why}")
    return True


def adopt_incumbent(store: Store, tag: str, agent: str, experiment: str, now: float, why: str) -> None:
    """The agent builds on another experiment's commit from now on."""
    with store.transaction() as db:
        rows.update(db, "agents", {"tag": tag, "name": agent}, incumbent_id=ids.number_of(experiment))
        record_event(db, tag, now, agent, f"builds on {experiment} from now on: {why}")


def mark_published(store: Store, experiment: str, now: float) -> None:
    """Its branch, git notes, files and results.tsv row are written."""
    with store.transaction() as db:
        rows.update(db, "experiments", {"id": ids.number_of(experiment)}, published_at=now)


def unpublished_experiments(store: Store, tag: str) -> tuple[str, ...]:
    """Decided experiments whose verdict is not yet written to git and disk, oldest first."""
    query = "SELECT id FROM experiments WHERE tag = ? AND state = ? AND published_at IS NULL ORDER BY decided_at, id"
    numbers = store.connection.execute(query, (tag, ExperimentState.DECIDED))
    return tuple(ids.experiment_id(number) for (number,) in numbers)


def record_reflection(store: Store, experiment: str, text: str) -> None:
    """What the verdict taught its agent."""
    with store.transaction() as db:
        rows.update(db, "experiments", {"id": ids.number_of(experiment)}, reflection=text)


def _drop_draft(db: Connection, number: int) -> tuple[str, int | None] | None:
    """The draft goes, and what refers to it; returns its agent and hypothesis, None where it is no draft any more."""
    query = "SELECT agent, hypothesis_id FROM experiments WHERE id = ? AND state = ?"
    row = db.execute(query, (number, ExperimentState.DRAFTING)).fetchone()
    if row is None:
        return None
    db.execute("DELETE FROM flags WHERE experiment_id = ?", (number,))
    # What the thinking cost was spent all the same; its agent's sum has it.
    rows.update(db, "steps", {"experiment_id": number}, experiment_id=None)
    db.execute("DELETE FROM experiments WHERE id = ?", (number,))
    return row["agent"], row["hypothesis_id"]


def _commit_of(db: Connection, number: int) -> str:
    commit: str = db.execute("SELECT commit_sha FROM experiments WHERE id = ?", (number,)).fetchone()[0]
    return commit


def _agent_of(db: Connection, number: int) -> str:
    return str(db.execute("SELECT agent FROM experiments WHERE id = ?", (number,)).fetchone()[0])
