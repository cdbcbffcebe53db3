"""What a person asks of a promotion: to begin, go on, land, be taken back. A killed call may be made again."""

from __future__ import annotations

from collections.abc import Sequence

from sessions.git.repository import Repository
from sessions.locks import FOR_EVER, held
from supervisor.errors import LabError
from supervisor.lab.branches import home_of
from supervisor.lab.paths import Lab
from supervisor.model.promotion import NewPromotion, Promotion, PromotionKind, PromotionState
from supervisor.model.snapshot import LabSnapshot
from supervisor.promotion.candidates import finalize_of, promotion_of, same_request
from supervisor.promotion.land import (
    accept_promotion,
    accept_rollback,
    land,
    land_waiting,
    last_landed,
    notice_merges,
)
from supervisor.snapshot_reader import read_snapshot
from supervisor.store import promotions
from supervisor.store.connection import Store
from supervisor.store.reading import all_promotions


def request_promotion(
    lab: Lab, store: Store, repository: Repository, names: Sequence[str], now: float
) -> Promotion:
    """Ask for the champion, or for what is named, on its base branch; goes on with the same wish.

    Raises LabError, SessionError.
    """
    with held(lab.state_dir / "promotion.lock", FOR_EVER):
        notice_merges(store, repository, now)
        snapshot = read_snapshot(lab, store, now)
        return _begin(lab, store, repository, snapshot, promotion_of(snapshot, names), now)


def request_finalize(
    lab: Lab, store: Store, repository: Repository, names: Sequence[str], now: float, *, measured: bool
) -> Promotion:
    """Ask for a branch of each keep. Raises LabError, SessionError."""
    with held(lab.state_dir / "promotion.lock", FOR_EVER):
        snapshot = read_snapshot(lab, store, now)
        return _begin(lab, store, repository, snapshot, finalize_of(snapshot, names, measured=measured), now)


def promotion_numbered(snapshot: LabSnapshot, number: int) -> Promotion:
    """The promotion of that number in the campaign. Raises LabError."""
    promotion = next((p for p in snapshot.promotions if p.number == number), None)
    if promotion is None:
        raise LabError(f"there is no promotion {number} in this run")
    return promotion


def accept_and_land(lab: Lab, store: Store, repository: Repository, number: int, now: float) -> Promotion:
    """Accept a promotion whose evidence says yes, and land it; again after a kill it goes on where it was.

    Raises LabError, also when the evidence does not say yes, and SessionError.
    """
    with held(lab.state_dir / "promotion.lock", FOR_EVER):
        snapshot = read_snapshot(lab, store, now)
        promotion = promotion_numbered(snapshot, number)
        if promotion.state is PromotionState.EVIDENCE:
            assert snapshot.campaign is not None
            accept_promotion(store, repository, snapshot, snapshot.campaign, promotion, now)
            promotion = promotion_numbered(read_snapshot(lab, store, now), number)
        if promotion.state is PromotionState.ACCEPTED:
            land(store, repository, promotion, now)
        elif promotion.state is PromotionState.WAITING:
            land_waiting(store, repository, promotion, now)
        elif promotion.state is not PromotionState.LANDED:
            raise LabError(
                f"promotion {number} can't land: it is {promotion.state} {promotion.reason}".rstrip()
            )
        return promotion_numbered(read_snapshot(lab, store, now), number)


def decline(lab: Lab, store: Store, number: int, now: float) -> Promotion:
    """Decline a promotion; the base branch stays as it is. Raises LabError."""
    promotion = promotion_numbered(read_snapshot(lab, store, now), number)
    promotions.end_promotion(store, promotion, PromotionState.DECLINED, "by the person", now)
    return promotion_numbered(read_snapshot(lab, store, now), number)


def roll_back(lab: Lab, store: Store, repository: Repository, now: float) -> Promotion:
    """Take the last promotion off its branch with a commit; one that was begun goes on.

    Raises LabError, SessionError.
    """
    with held(lab.state_dir / "promotion.lock", FOR_EVER):
        notice_merges(store, repository, now)
        # One whose commit waits for the person gives way to one that can go on.
        unfinished = sorted(_unfinished_rollbacks(store), key=lambda p: p.state is PromotionState.WAITING)
        rollback = next(iter(unfinished), None)
        if rollback is not None and rollback.state is PromotionState.WAITING:
            land_waiting(store, repository, rollback, now)
            return _of(store, rollback.number)
        if rollback is None:
            last = last_landed(store, repository)
            title = f"promotion {last.number}: {last.title}"
            new = NewPromotion(PromotionKind.ROLLBACK, title, reverts=last.number)
            rollback = _of(store, promotions.request_promotion(store, last.tag, new, now))
        if rollback.state is PromotionState.REQUESTED:
            assert rollback.reverts is not None
            accept_rollback(store, repository, _of(store, rollback.reverts), rollback, now)
        land(store, repository, _of(store, rollback.number), now)
        return _of(store, rollback.number)


def rollback_target(store: Store, repository: Repository, now: float) -> Promotion:
    """The promotion that `roll_back` would take off its branch. Raises LabError."""
    notice_merges(store, repository, now)
    unfinished = _unfinished_rollbacks(store)
    if unfinished and unfinished[-1].reverts is not None:
        return _of(store, unfinished[-1].reverts)
    return last_landed(store, repository)


def _unfinished_rollbacks(store: Store) -> list[Promotion]:
    states = (PromotionState.REQUESTED, PromotionState.ACCEPTED, PromotionState.WAITING)
    return [p for p in all_promotions(store) if p.kind is PromotionKind.ROLLBACK and p.state in states]


def _begin(
    lab: Lab, store: Store, repository: Repository, snapshot: LabSnapshot, new: NewPromotion, now: float
) -> Promotion:
    assert snapshot.campaign is not None
    branch, main = home_of(repository, snapshot.campaign.base)
    known = same_request(snapshot, new, main)
    if known is not None:
        if known.state is PromotionState.EVIDENCE and known.base_commit != main:
            promotions.start_again(store, known, f"{branch} has moved to {main[:7]}", now)
        number = known.number
    else:
        number = promotions.request_promotion(store, snapshot.campaign.tag, new, now)
    return promotion_numbered(read_snapshot(lab, store, now), number)


def _of(store: Store, number: int) -> Promotion:
    return next(p for p in all_promotions(store) if p.number == number)
