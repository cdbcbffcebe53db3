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
        if not rows.update(db, "promotion_pieces", waiting, piece, state=PieceState.TAKEN):
            return False
        rows.update(db, "promotions", {"id": number}, whole, state=PromotionState.MEASURING)
    return True


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
    queued = 0
    with store.transaction() as db:
        piece = db.execute(
            "SELECT base_id, candidate_id FROM promotion_pieces WHERE promotion = ? AND ordinal = ? AND state = ?",
            (number, ordinal, PieceState.MEASURING),
        ).fetchone()
        if piece is None:
            return False
        for side, least in zip(piece, (base_runs, candidate_runs), strict=True):
            query = "SELECT count(*) FROM runs WHERE experiment_id = ?"
            for _ in range(least - int(db.execute(query, (side,)).fetchone()[0])):
                insert_run(db, tag, side, RunKind.VERIFICATION, now)
                queued += 1
    return bool(queued)


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
        helps = settlement.state is PieceState.TAKEN
        if piece.kind is PieceKind.STEP and helps:
            rows.update(db, "promotions", {"id": promotion.number}, commit_sha=piece.commit)
        if piece.kind is PieceKind.WHOLE:
            state = PromotionState.EVIDENCE if helps else PromotionState.REFUSED
            _set_state(db, promotion, state, settlement.reason)
        outcome = f"{_name(promotion)}: {piece.title} {settlement.state}"
        record_event(db, promotion.tag, now, "", f"{outcome}: {settlement.reason}")
    return True


def end_promotion(store: Store, promotion: Promotion, state: PromotionState, reason: str, now: float) -> bool:
    """It ends here; False when it had ended."""
    with store.transaction() as db:
        if not _set_state(db, promotion, state, reason):
            return False
        for piece in promotion.pieces:
            _end_trials(db, piece)
        text = f"{_name(promotion)} {state}" + (f": {reason}" if reason else "")
        record_event(db, promotion.tag, now, "", text)
    return True


def start_again(store: Store, promotion: Promotion, why: str, now: float) -> bool:
    """Main has moved: prepare and measure everything anew on it."""
    with store.transaction() as db:
        still_open = {"id": promotion.number, "state": OPEN}
        unprepared = {"base_commit": "", "commit_sha": "", "author": "", "accepted_at": None, "message": ""}
        anew = {"state": PromotionState.REQUESTED, "reason": why}
        if not rows.update(db, "promotions", still_open, unprepared | anew):
            return False
        for piece in promotion.pieces:
            _end_trials(db, piece)
        unmeasured = {"base_id": None, "candidate_id": None, "commit_sha": "", "reason": ""}
        intervals = _interval("gain", None) | _interval("holdout_gain", None)
        key = {"promotion": promotion.number}
        rows.update(db, "promotion_pieces", key, unmeasured | intervals, state=PieceState.WAITING)
        record_event(db, promotion.tag, now, "", f"{_name(promotion)} starts again: {why}")
    return True


def accept(
    store: Store, promotion: Promotion, commit: str, author: str, message: str, base: str, now: float
) -> bool:
    """The person said yes: from here on the commit is the same however often it is made."""
    before = PromotionState.REQUESTED if promotion.kind is PromotionKind.ROLLBACK else PromotionState.EVIDENCE
    with store.transaction() as db:
        is_new = rows.update(
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
        record_event(db, promotion.tag, now, "", f"the person said yes to {_name(promotion)}")
    return bool(is_new)


def record_landed(store: Store, promotion: Promotion, commit: str, now: float) -> bool:
    """The base branch has the commit."""
    with store.transaction() as db:
        if not _set_state(db, promotion, PromotionState.LANDED, "", landed_commit=commit):
            return False
        record_event(
            db, promotion.tag, now, "", f"{_name(promotion)} is on {promotion.home.name} as {commit[:7]}"
        )
    return True


def record_waiting(
    store: Store, promotion: Promotion, commit: str, branch: str, why: str, now: float
) -> bool:
    """Git did not let the branch be advanced: the commit waits on a branch of its own."""
    with store.transaction() as db:
        waiting = PromotionState.WAITING
        if not _set_state(db, promotion, waiting, why, landed_commit=commit, branch=branch):
            return False
        record_event(db, promotion.tag, now, "", f"{_name(promotion)} waits on {branch}: {why}")
    return True


def _first_unused_ordinal(db: Connection, tag: str) -> int:
    query = "SELECT max(ordinal) FROM runs JOIN experiments ON experiments.id = experiment_id WHERE tag = ?"
    return 1 + int(db.execute(query, (tag,)).fetchone()[0] or 0)


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


def _name(promotion: Promotion) -> str:
    return f"{promotion.kind} {promotion.number}"


def _set_state(
    db: Connection, promotion: Promotion, state: PromotionState, reason: str, **columns: str
) -> bool:
    before = {"id": promotion.number, "state": OPEN | {PromotionState.WAITING}}
    return bool(rows.update(db, "promotions", before, columns, state=state, reason=reason))


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
