"""Reading: promotions with their pieces, and what was measured of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from supervisor.model import ids
from supervisor.model.experiment import Experiment
from supervisor.model.promotion import (
    Interval,
    Piece,
    PieceKind,
    PieceState,
    Promotion,
    PromotionKind,
    PromotionState,
)
from supervisor.store.connection import Connection, Row, Store


def read_promotions(
    db: Connection, tag: str | None, trials: Mapping[str, Experiment]
) -> tuple[Promotion, ...]:
    """The promotions of a campaign, or of all for None, oldest first; `trials` are their experiments by id."""
    pieces: dict[int, list[Piece]] = {}
    for row in db.execute("SELECT * FROM promotion_pieces ORDER BY promotion, ordinal"):
        pieces.setdefault(row["promotion"], []).append(_piece(row, trials))
    rows = db.execute("SELECT * FROM promotions WHERE tag = coalesce(?, tag) ORDER BY id", (tag,))
    return tuple(_promotion(row, pieces.get(row["id"], ())) for row in rows)


def all_promotions(store: Store) -> tuple[Promotion, ...]:
    """Every promotion of the lab without its measurements, oldest first."""
    return read_promotions(store.connection, None, {})


def _promotion(row: Row, pieces: Sequence[Piece]) -> Promotion:
    return Promotion(
        number=row["id"],
        tag=row["tag"],
        kind=PromotionKind(row["kind"]),
        state=PromotionState(row["state"]),
        title=row["title"],
        made_at=row["made_at"],
        reason=row["reason"],
        measured=bool(row["measured"]),
        base_commit=row["base_commit"],
        commit=row["commit_sha"],
        author=row["author"],
        accepted_at=row["accepted_at"],
        message=row["message"],
        landed_commit=row["landed_commit"],
        branch=row["branch"],
        reverts=row["reverts"],
        pieces=tuple(pieces),
    )


def _piece(row: Row, trials: Mapping[str, Experiment]) -> Piece:
    def side(number: int | None) -> Experiment | None:
        return None if number is None else trials.get(ids.experiment_id(number))

    return Piece(
        ordinal=row["ordinal"],
        kind=PieceKind(row["kind"]),
        title=row["title"],
        state=PieceState(row["state"]),
        source_id=None if row["source_id"] is None else ids.experiment_id(row["source_id"]),
        from_commit=row["from_commit"],
        to_commit=row["to_commit"],
        claimed_gain=row["claimed_gain"],
        reason=row["reason"],
        base=side(row["base_id"]),
        candidate=side(row["candidate_id"]),
        commit=row["commit_sha"],
        branch=row["branch"],
        gain=_interval(row["gain"], row["gain_low"], row["gain_high"]),
        holdout=_interval(row["holdout_gain"], row["holdout_low"], row["holdout_high"]),
    )


def _interval(gain: float | None, low: float | None, high: float | None) -> Interval | None:
    return None if gain is None or low is None or high is None else Interval(gain, low, high)
