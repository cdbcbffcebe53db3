"""Writing: promotions. Each function is one transition, and happens once however often it is called."""

from __future__ import annotations

from supervisor.model import ids
from supervisor.model.promotion import (
    OPEN,
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
from supervisor.model.states import RunKind, RunState
from supervisor.store.campaigns import insert_run, record_event
from supervisor.store.connection import Connection, Store


def request_promotion(store: Store, tag: str, new: NewPromotion, now: float) -> int:
    """Write a wish down; returns its number."""
    with store.transaction() as db:
        row = db.execute(
            "INSERT INTO promotions (tag, kind, state, title, made_at, measured, reverts) VALUES (?,?,?,?,?,?,?)",
            (tag, new.kind, PromotionState.REQUESTED, new.title, now, new.measured, new.reverts),
        )
        number = row.lastrowid or 0
        for ordinal, piece in enumerate(new.pieces, start=1):
            db.execute(
                "INSERT INTO promotion_pieces (promotion, ordinal, kind, title, source_id, from_commit, to_commit, "
                "claimed_gain, state) VALUES (?,?,?,?,?,?,?,?,?)",
                (
                    number,
                    ordinal,
                    piece.kind,
                    piece.title,
                    ids.optional_number(piece.source_id),
                    piece.from_commit,
                    piece.to_commit,
                    piece.claimed_gain,
                    PieceState.WAITING,
                ),
            )
        record_event(db, tag, now, "", f"{new.kind} {number} asked for: {new.title}")
    return number


def take_piece(store: Store, number: int, ordinal: int, prepared: Prepared, reason: str = "") -> bool:
    """A piece stands without being measured by itself; False when it no longer waits."""
    with store.transaction() as db:
        changed = db.execute(
            "UPDATE promotion_pieces SET state = ?, commit_sha = ?, branch = ?, reason = ? "
            "WHERE promotion = ? AND ordinal = ? AND state = ?",
            (
                PieceState.TAKEN,
                prepared.commit,
                prepared.branch,
                reason,
                number,
                ordinal,
                PieceState.WAITING,
            ),
        )
        if changed.rowcount:
            db.execute(
                "UPDATE promotions SET state = ?, base_commit = ?, commit_sha = ? WHERE id = ?",
                (PromotionState.MEASURING, prepared.main, prepared.commit, number),
            )
    return bool(changed.rowcount)


def measure_piece(
    store: Store, tag: str, number: int, ordinal: int, prepared: Prepared, runs: int, now: float
) -> bool:
    """Queue the first runs of both sides, on seeds that nothing in the campaign has used yet."""
    with store.transaction() as db:
        piece = db.execute(
            "SELECT title, state FROM promotion_pieces WHERE promotion = ? AND ordinal = ?", (number, ordinal)
        ).fetchone()
        if piece["state"] != PieceState.WAITING:
            return False
        first = _first_unused_ordinal(db, tag)
        title = f"{piece['title']} (promotion {number})"
        base = _insert_side(db, tag, f"without {title}", prepared.base, prepared.base, now)
        candidate = _insert_side(db, tag, f"with {title}", prepared.base, prepared.commit, now)
        db.execute(
            "UPDATE experiments SET lines_added = ?, lines_removed = ? WHERE id = ?",
            (prepared.lines_added, prepared.lines_removed, candidate),
        )
        for ordinal_of_run in range(first, first + runs):
            for side in (base, candidate):
                insert_run(db, tag, side, RunKind.VERIFICATION, now, ordinal_of_run)
        db.execute(
            "UPDATE promotion_pieces SET state = ?, commit_sha = ?, branch = ?, base_id = ?, candidate_id = ? "
            "WHERE promotion = ? AND ordinal = ?",
            (
                PieceState.MEASURING,
                prepared.commit,
                prepared.branch,
                base,
                candidate,
                number,
                ordinal,
            ),
        )
        db.execute(
            "UPDATE promotions SET state = ?, base_commit = ? WHERE id = ?",
            (PromotionState.MEASURING, prepared.main, number),
        )
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
        gain, holdout = settlement.gain, settlement.holdout
        changed = db.execute(
            "UPDATE promotion_pieces SET state = ?, reason = ?, gain = ?, gain_low = ?, gain_high = ?, "
            "holdout_gain = ?, holdout_low = ?, holdout_high = ? "
            "WHERE promotion = ? AND ordinal = ? AND state IN (?, ?)",
            (
                settlement.state,
                settlement.reason,
                *((gain.gain, gain.low, gain.high) if gain else (None,) * 3),
                *((holdout.gain, holdout.low, holdout.high) if holdout else (None,) * 3),
                promotion.number,
                piece.ordinal,
                PieceState.MEASURING,
                PieceState.WAITING,
            ),
        )
        if not changed.rowcount:
            return False
        _end_trials(db, piece)
        taken = settlement.state is PieceState.TAKEN
        if piece.kind is PieceKind.STEP and taken:
            db.execute("UPDATE promotions SET commit_sha = ? WHERE id = ?", (piece.commit, promotion.number))
        if piece.kind is PieceKind.WHOLE:
            state = PromotionState.EVIDENCE if taken else PromotionState.REFUSED
            _set_state(db, promotion, state, settlement.reason)
        word = f"{promotion.kind} {promotion.number}: {piece.title} {settlement.state}"
        record_event(db, promotion.tag, now, "", f"{word}: {settlement.reason}")
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
        states = sorted(OPEN)
        changed = db.execute(
            "UPDATE promotions SET state = ?, reason = ?, base_commit = '', commit_sha = '', author = '', "
            f"accepted_at = NULL, message = '' WHERE id = ? AND state IN ({','.join('?' * len(states))})",
            (PromotionState.REQUESTED, why, promotion.number, *states),
        )
        if changed.rowcount:
            for piece in promotion.pieces:
                _end_trials(db, piece)
            db.execute(
                "UPDATE promotion_pieces SET state = ?, reason = '', base_id = NULL, candidate_id = NULL, "
                "commit_sha = '', gain = NULL, gain_low = NULL, gain_high = NULL, holdout_gain = NULL, "
                "holdout_low = NULL, holdout_high = NULL WHERE promotion = ?",
                (PieceState.WAITING, promotion.number),
            )
            record_event(
                db, promotion.tag, now, "", f"{promotion.kind} {promotion.number} starts again: {why}"
            )
    return bool(changed.rowcount)


def accept(
    store: Store, promotion: Promotion, commit: str, author: str, message: str, base: str, now: float
) -> bool:
    """The person said yes: from here on the commit is the same however often it is made."""
    before = PromotionState.REQUESTED if promotion.kind is PromotionKind.ROLLBACK else PromotionState.EVIDENCE
    with store.transaction() as db:
        changed = db.execute(
            "UPDATE promotions SET state = ?, commit_sha = ?, author = ?, message = ?, base_commit = ?, "
            "accepted_at = ? WHERE id = ? AND state = ?",
            (
                PromotionState.ACCEPTED,
                commit,
                author,
                message,
                base,
                float(int(now)),
                promotion.number,
                before,
            ),
        )
        record_event(
            db, promotion.tag, now, "", f"the person said yes to {promotion.kind} {promotion.number}"
        )
    return bool(changed.rowcount)


def record_landed(store: Store, promotion: Promotion, commit: str, now: float) -> bool:
    """Main has the commit."""
    with store.transaction() as db:
        changed = _set_state(db, promotion, PromotionState.LANDED, "")
        if changed:
            db.execute("UPDATE promotions SET landed_commit = ? WHERE id = ?", (commit, promotion.number))
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
            db.execute(
                "UPDATE promotions SET landed_commit = ?, branch = ? WHERE id = ?",
                (commit, branch, promotion.number),
            )
            text = f"{promotion.kind} {promotion.number} waits on {branch}: {why}"
            record_event(db, promotion.tag, now, "", text)
    return changed


def _first_unused_ordinal(db: Connection, tag: str) -> int:
    used = "SELECT coalesce(max(ordinal), 0) FROM runs JOIN experiments ON experiments.id = experiment_id WHERE tag = ?"
    return 1 + int(db.execute(used, (tag,)).fetchone()[0])


def _insert_side(db: Connection, tag: str, title: str, parent: str, commit: str, now: float) -> int:
    row = db.execute(
        "INSERT INTO experiments (tag, agent, title, state, parent_commit, commit_sha, setting_id, created_at, "
        "ready_at, purpose) SELECT tag, '', ?, 'ready', ?, ?, setting_id, ?, ?, 'promotion' FROM campaigns "
        "WHERE tag = ?",
        (title, parent, commit, now, now, tag),
    )
    return row.lastrowid or 0


def _set_state(db: Connection, promotion: Promotion, state: PromotionState, reason: str) -> bool:
    before = sorted(OPEN | {PromotionState.WAITING})
    changed = db.execute(
        f"UPDATE promotions SET state = ?, reason = ? WHERE id = ? AND state IN ({','.join('?' * len(before))})",
        (state, reason, promotion.number, *before),
    )
    return bool(changed.rowcount)


def _end_trials(db: Connection, piece: Piece) -> None:
    # What is queued will not be needed; what trains ends by itself and is taken as any other.
    for side in (piece.base, piece.candidate):
        if side is not None:
            number = ids.number_of(side.id)
            db.execute("DELETE FROM runs WHERE experiment_id = ? AND state = ?", (number, RunState.QUEUED))
            db.execute("UPDATE experiments SET state = 'decided' WHERE id = ?", (number,))
