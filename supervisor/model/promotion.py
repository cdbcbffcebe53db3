"""What a promotion is: its states and pieces, as they stand in a snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from supervisor.model.base import UNKNOWN, Base
from supervisor.model.experiment import Experiment
from supervisor.model.ids import ExperimentId


class PromotionKind(StrEnum):
    """What is wanted of the branch that a campaign came from."""

    PROMOTE = "promote"
    FINALIZE = "finalize"  # a branch for each keep; the base branch stays as it is
    ROLLBACK = "rollback"


class PromotionState(StrEnum):
    """Where a promotion stands."""

    REQUESTED = "requested"
    MEASURING = "measuring"
    EVIDENCE = "evidence"  # it says yes; the person is asked
    ACCEPTED = "accepted"  # the person said yes; the commit is to land
    WAITING = "waiting"  # git refused to advance the person's checkout: the commit waits on a branch
    LANDED = "landed"
    REFUSED = "refused"  # the evidence says no
    DECLINED = "declined"  # the person said no
    CONFLICT = "conflict"  # the base branch and the change touch the same lines
    DONE = "done"  # finalize: every branch is made and measured


ACTIVE = frozenset({PromotionState.REQUESTED, PromotionState.MEASURING})  # the supervisor has work with it
OPEN = ACTIVE | {PromotionState.EVIDENCE, PromotionState.ACCEPTED}  # a second call goes on with it

# The person's yes or no is all that is missing.
ANSWERABLE = frozenset({PromotionState.EVIDENCE, PromotionState.WAITING})


class PieceKind(StrEnum):
    """What a piece is measured against."""

    GROUND = "ground"  # taken as it is; the whole is measured at the end
    STEP = "step"  # against what stands so far, and dropped when it does not help
    WHOLE = "whole"  # all that stands, against the base branch
    ALONE = "alone"  # by itself, against the base branch
    WITHOUT = "without"  # all of it but this, against all of it


class PieceState(StrEnum):
    """Where a piece stands."""

    WAITING = "waiting"
    MEASURING = "measuring"
    TAKEN = "taken"
    DROPPED = "dropped"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Interval:
    """A gain with its 95 % interval, in the metric's unit, positive is better."""

    gain: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Piece:
    """One change on its way to the base branch, and what was measured of it."""

    ordinal: int
    kind: PieceKind
    title: str
    state: PieceState
    source_id: ExperimentId | None = None  # the experiment that it comes from
    from_commit: str = ""  # the change is what differs between these two
    to_commit: str = ""
    claimed_gain: float | None = None
    reason: str = ""
    base: Experiment | None = None  # both sides of the comparison
    candidate: Experiment | None = None
    commit: str = ""
    branch: str = ""
    gain: Interval | None = None
    holdout: Interval | None = None


@dataclass(frozen=True, slots=True)
class Promotion:
    """One request to put something on the branch that its campaign came from."""

    number: int
    tag: str
    kind: PromotionKind
    state: PromotionState
    title: str
    made_at: float
    reason: str = ""
    measured: bool = True
    base_commit: str = ""  # the commit of that branch that it was prepared on, "" until it is
    commit: str = ""  # what stands so far
    author: str = ""  # "Name <mail>" of who said yes
    accepted_at: float | None = None
    message: str = ""
    landed_commit: str = ""
    branch: str = ""
    reverts: int | None = None
    pieces: tuple[Piece, ...] = ()
    home: Base = UNKNOWN  # of its campaign

    @property
    def whole(self) -> Piece | None:
        """The comparison with the base branch that decides, if it has one."""
        return next((piece for piece in self.pieces if piece.kind is PieceKind.WHOLE), None)

    @property
    def current(self) -> Piece | None:
        """The piece that is measured now, or else comes next."""
        return next((p for p in self.pieces if p.state in (PieceState.MEASURING, PieceState.WAITING)), None)

    @property
    def changes(self) -> tuple[tuple[str, str], ...]:
        """What was asked for, as pairs of commits: two promotions of the same changes are the same wish."""
        return tuple((p.from_commit, p.to_commit) for p in self.pieces if p.kind is not PieceKind.WHOLE)


@dataclass(frozen=True, slots=True)
class NewPiece:
    """One change that is asked for."""

    kind: PieceKind
    title: str
    source_id: ExperimentId | None = None
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

    main: str  # where the base branch stood
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
