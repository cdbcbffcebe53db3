"""Writing: promotions. Each function is one transition, and happens once however often it is called."""

from __future__ import annotations

import dataclasses

from supervisor.model import ids
from supervisor.model.promotion import (
    OPEN,
    Interval,
    NewPromotion,
    Piece,
    PieceKind,
    PieceState,
    Prepared,
    Promotion,
    PromotionKind,
    PromotionState,
    Settlement,
)
from supervisor.model.states import ExperimentState, Purpose, RunKind
from supervisor.store import rows
from supervisor.store.campaigns import insert_run, record_event
from supervisor.store.connection import Connection, Store
from supervisor.store.runs import drop_queued_runs

UNSETTLED = frozenset({PieceState.WAITING, PieceState.MEASURING})


def request_promotion(store: Store, tag: str, new: NewPromotion, now: float) -> int:
    """Write a wish down; returns its number."""
    with store.transaction() as db:
        wish = rows.columns_of(new, without=("pieces",))
        number = rows.insert(db, "promotions", wish, tag=tag, state=PromotionState.REQUESTED, made_at=now)
        for ordinal, piece in enumerate(new.pieces, start=1):
            key = {"promotion": number, "ordinal": ordinal}
            rows.insert(db, "promotion_pieces", key | rows.columns_of(piece), state=PieceState.WAITING)
        record_event(db, tag, now, "", f"{new.kind} {number} asked for: {new.title}")
    return number


def take_piece(store: Store, number: int, ordinal: int, prepared: Prepared, reason: str = "") -> bool:
    """A piece stands without being measured by itself; False when it no longer waits."""
    waiting = {"promotion": number, "ordinal": ordinal, "state": PieceState.WAITING}
    piece = {"commit_sha": prepared.commit, "branch": prepared.branch, "reason": reason}
    whole = {"base_commit": prepared.main, "commit_sha": prepared.commit}
    with store.transaction() as db:
        taken = rows.update(db, "promotion_pieces", waiting, piece, state=PieceState.TAKEN)
        if taken:
            rows.update(db, "promotions", {"id": number}, whole, state=PromotionState.MEASURING)
    return bool(taken)


def measure_piece(
    store: Store, tag: str, number: int, ordinal: int, prepared: Prepared, runs: int, now: float
) -> bool:
    """Queue the first runs of both sides, on seeds that nothing in the campaign has used yet."""
    with store.transaction() as db:
        query = "SELECT title, state FROM promotion_pieces WHERE promotion = ? AND ordinal = ?"
        title, state = db.execute(query, (number, ordinal)).fetchone()
        if state != PieceState.WAITING:
            return False
        first = _first_unused_ordinal(db, tag)
        title = f"{title} (promotion {number})"
        base = _insert_side(db, tag, f"without {title}", prepared.base, prepared.base, now)
        candidate = _insert_side(db, tag, f"with {title}", prepared.base, prepared.commit, now)
        lines = {"lines_added": prepared.lines_added, "lines_removed": prepared.lines_removed}
        rows.update(db, "experiments", {"id": candidate}, lines)
        for ordinal_of_run in range(first, first + runs):
            for side in (base, candidate):
                insert_run(db, tag, side, RunKind.VERIFICATION, now, ordinal_of_run)
        rows.update(
            db,
            "promotion_pieces",
            {"promotion": number, "ordinal": ordinal},
            state=PieceState.MEASURING,
            commit_sha=prepared.commit,
            branch=prepared.branch,
            base_id=base,
            candidate_id=candidate,
        )
        state = PromotionState.MEASURING
        rows.update(db, "promotions", {"id": number}, state=state, base_commit=prepared.main)
    return True


def queue_trials(
    store: Store, tag: str, number: int, ordinal: int, base_runs: int, candidate_runs: int, now: float
) -> bool:
    """Have at least so many runs of each side; the k-th of both takes the same seed."""
    added = False
    with store.transaction() as db:
        piece = db.execute(
            "SELECT base_id, candidate_id FROM promotion_pieces WHERE promotion = ? AND ordinal = ? AND state = ?",
            (number, ordinal, PieceState.MEASURING),
        ).fetchone()
        if piece is None:
            return False
        for side, wanted in ((piece["base_id"], base_runs), (piece["candidate_id"], candidate_runs)):
            count = "SELECT count(*) FROM runs WHERE experiment_id = ?"
            for _ in range(wanted - int(db.execute(count, (side,)).fetchone()[0])):
                insert_run(db, tag, side, RunKind.VERIFICATION, now)
                added = True
    return added


def settle_piece(
    store: Store, promotion: Promotion, piece: Piece, settlement: Settlement, now: float
) -> bool:
    """A piece is taken, dropped or in conflict; what follows for the promotion follows at once."""
    with store.transaction() as db:
        key = {"promotion": promotion.number, "ordinal": piece.ordinal, "state": UNSETTLED}
        intervals = _interval("gain", settlement.gain) | _interval("holdout_gain", settlement.holdout)
        columns = {"state": settlement.state, "reason": settlement.reason, **intervals}
        if not rows.update(db, "promotion_pieces", key, columns):
            return False
        _end_trials(db, piece)
        taken = settlement.state is PieceState.TAKEN
        if piece.kind is PieceKind.STEP and taken:
            rows.update(db, "promotions", {"id": promotion.number}, commit_sha=piece.commit)
        if piece.kind is PieceKind.WHOLE:
            state = PromotionState.EVIDENCE if taken else PromotionState.REFUSED
            _set_state(db, promotion, state, settlement.reason)
        outcome = f"{promotion.kind} {promotion.number}: {piece.title} {settlement.state}"
        record_event(db, promotion.tag, now, "", f"{outcome}: {settlement.reason}")
    return True


def end_promotion(store: Store, promotion: Promotion, state: PromotionState, reason: str, now: float) -> bool:
    """It ends here; False when it had ended."""
    with store.transaction() as db:
        changed = _set_state(db, promotion, state, reason)
        if changed:
            for piece in promotion.pieces:
                _end_trials(db, piece)
            text = f"{promotion.kind} {promotion.number} {state}" + (f": {reason}" if reason else "")
            record_event(db, promotion.tag, now, "", text)
    return changed


def start_again(store: Store, promotion: Promotion, why: str, now: float) -> bool:
    """Main has moved: prepare and measure everything anew on it."""
    with store.transaction() as db:
        still_open = {"id": promotion.number, "state": OPEN}
        unprepared = {"base_commit": "", "commit_sha": "", "author": "", "accepted_at": None, "message": ""}
        changed = rows.update(
            db, "promotions", still_open, unprepared, state=PromotionState.REQUESTED, reason=why
        )
        if changed:
            for piece in promotion.pieces:
                _end_trials(db, piece)
            unmeasured = {"base_id": None, "candidate_id": None, "commit_sha": "", "reason": ""}
            intervals = _interval("gain", None) | _interval("holdout_gain", None)
            key = {"promotion": promotion.number}
            rows.update(db, "promotion_pieces", key, unmeasured | intervals, state=PieceState.WAITING)
            text = f"{promotion.kind} {promotion.number} starts again: {why}"
            record_event(db, promotion.tag, now, "", text)
    return bool(changed)


def accept(
    store: Store, promotion: Promotion, commit: str, author: str, message: str, base: str, now: float
) -> bool:
    """The person said yes: from here on the commit is the same however often it is made."""
    before = PromotionState.REQUESTED if promotion.kind is PromotionKind.ROLLBACK else PromotionState.EVIDENCE
    with store.transaction() as db:
        changed = rows.update(
            db,
            "promotions",
            {"id": promotion.number, "state": before},
            state=PromotionState.ACCEPTED,
            commit_sha=commit,
            author=author,
            message=message,
            base_commit=base,
            accepted_at=float(int(now)),
        )
        text = f"the person said yes to {promotion.kind} {promotion.number}"
        record_event(db, promotion.tag, now, "", text)
    return bool(changed)


def record_landed(store: Store, promotion: Promotion, commit: str, now: float) -> bool:
    """Main has the commit."""
    with store.transaction() as db:
        changed = _set_state(db, promotion, PromotionState.LANDED, "")
        if changed:
            rows.update(db, "promotions", {"id": promotion.number}, landed_commit=commit)
            text = f"{promotion.kind} {promotion.number} is on main as {commit[:7]}"
            record_event(db, promotion.tag, now, "", text)
    return changed


def record_waiting(
    store: Store, promotion: Promotion, commit: str, branch: str, why: str, now: float
) -> bool:
    """Git did not let main be advanced: the commit waits on a branch of its own."""
    with store.transaction() as db:
        changed = _set_state(db, promotion, PromotionState.WAITING, why)
        if changed:
            rows.update(db, "promotions", {"id": promotion.number}, landed_commit=commit, branch=branch)
            text = f"{promotion.kind} {promotion.number} waits on {branch}: {why}"
            record_event(db, promotion.tag, now, "", text)
    return changed


def _first_unused_ordinal(db: Connection, tag: str) -> int:
    used = "SELECT coalesce(max(ordinal), 0) FROM runs JOIN experiments ON experiments.id = experiment_id WHERE tag = ?"
    return 1 + int(db.execute(used, (tag,)).fetchone()[0])


def _insert_side(db: Connection, tag: str, title: str, parent: str, commit: str, now: float) -> int:
    (setting,) = db.execute("SELECT setting_id FROM campaigns WHERE tag = ?", (tag,)).fetchone()
    return rows.insert(
        db,
        "experiments",
        tag=tag,
        agent="",
        title=title,
        state=ExperimentState.READY,
        purpose=Purpose.PROMOTION,
        parent_commit=parent,
        commit_sha=commit,
        setting_id=setting,
        created_at=now,
        ready_at=now,
    )


def _set_state(db: Connection, promotion: Promotion, state: PromotionState, reason: str) -> bool:
    before = {"id": promotion.number, "state": OPEN | {PromotionState.WAITING}}
    return bool(rows.update(db, "promotions", before, state=state, reason=reason))


def _interval(column: str, interval: Interval | None) -> dict[str, float | None]:
    gain, low, high = dataclasses.astuple(interval) if interval else (None, None, None)
    ends = column.removesuffix("_gain")
    return {column: gain, f"{ends}_low": low, f"{ends}_high": high}


def _end_trials(db: Connection, piece: Piece) -> None:
    # What is queued will not be needed; what trains ends by itself and is taken as any other.
    for side in (piece.base, piece.candidate):
        if side is not None:
            number = ids.number_of(side.id)
            drop_queued_runs(db, number)
            rows.update(db, "experiments", {"id": number}, state=ExperimentState.DECIDED)
