"""What is written about a promotion: the wish, what was prepared, what became of a piece."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.promotion.model import Interval, PieceKind, PieceState, PromotionKind


@dataclass(frozen=True, slots=True)
class NewPiece:
    """One change that is asked for."""

    kind: PieceKind
    title: str
    source_id: str | None = None
    from_commit: str = ""
    to_commit: str = ""
    claimed_gain: float | None = None


@dataclass(frozen=True, slots=True)
class NewPromotion:
    """A request."""

    kind: PromotionKind
    title: str
    pieces: tuple[NewPiece, ...] = ()
    measured: bool = True
    reverts: int | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A piece, applied on what it is measured against."""

    main: str  # where main stood
    base: str  # what it is measured against
    commit: str  # the piece on top of it
    lines_added: int = 0
    lines_removed: int = 0
    branch: str = ""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a piece."""

    state: PieceState
    reason: str
    gain: Interval | None = None
    holdout: Interval | None = None
