"""What a promotion needs next: one pure function of the snapshot."""

from __future__ import annotations

from collections.abc import Iterator

from sessions.runs.contract import RunEnding
from supervisor.model.actions import EndPromotion, PreparePiece, PromotionAction, QueueTrials, SettlePiece
from supervisor.model.experiment import Experiment, Run
from supervisor.model.promotion import (
    ACTIVE,
    Piece,
    PieceState,
    Promotion,
    PromotionKind,
    PromotionState,
    Settlement,
)
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import Direction, RunState
from supervisor.promotion.paired_test import Answer, Comparison, Side, Weighing, weigh


def active_promotion(snapshot: LabSnapshot) -> Promotion | None:
    """The one that is worked on: the oldest; the others wait for it. A rollback measures nothing."""
    measured = (p for p in snapshot.promotions if p.kind is not PromotionKind.ROLLBACK)
    return next((p for p in measured if p.state in ACTIVE), None)


def promotion_actions(snapshot: LabSnapshot) -> Iterator[PromotionAction]:
    """What brings the active promotion further, as soon as none of its runs is under way."""
    promotion = active_promotion(snapshot)
    if promotion is None or snapshot.campaign is None:
        return
    piece = promotion.current
    if piece is None:
        yield EndPromotion(promotion.number, PromotionState.DONE, "every piece is settled")
    elif piece.state is PieceState.WAITING:
        yield PreparePiece(promotion.number, piece.ordinal)
    else:
        yield from _measured(snapshot, promotion, piece, snapshot.campaign.direction)


def waiting_trials(snapshot: LabSnapshot) -> tuple[tuple[Experiment, Run], ...]:
    """The queued runs of the active promotion, seed by seed; the side that goes first alternates.

    With two devices each side is so measured on either of them as often.
    """
    promotion = active_promotion(snapshot)
    piece = promotion.current if promotion else None
    if piece is None or piece.base is None or piece.candidate is None:
        return ()
    sides = (piece.base, piece.candidate)
    queue = [
        (run.ordinal, number ^ (run.ordinal & 1), side, run)
        for number, side in enumerate(sides)
        for run in side.runs
        if run.state is RunState.QUEUED
    ]
    queue.sort(key=lambda entry: entry[:2])
    return tuple((side, run) for _, _, side, run in queue)


def weigh_piece(piece: Piece, direction: Direction, snapshot: LabSnapshot) -> Weighing:
    """What the runs of a piece say so far."""
    assert piece.base is not None and piece.candidate is not None
    return weigh(Comparison(side_of(piece.base), side_of(piece.candidate), direction, snapshot.noise))


def side_of(experiment: Experiment) -> Side:
    """What was measured of one side of a comparison."""
    ended = [run for run in experiment.runs if run.state is RunState.FINISHED]
    measured = [run for run in ended if run.metric is not None]
    holdouts = tuple(run.holdout for run in measured if run.holdout is not None)
    return Side(
        metrics=tuple(run.metric for run in measured if run.metric is not None),
        holdouts=holdouts if len(holdouts) == len(measured) else (),
        failures=tuple(f"{run.ending}: {run.reason}" for run in ended if run.metric is None),
        rejection=next((run.reason for run in ended if run.ending is RunEnding.REJECTED), ""),
    )


def _measured(
    snapshot: LabSnapshot, promotion: Promotion, piece: Piece, direction: Direction
) -> Iterator[PromotionAction]:
    assert piece.base is not None and piece.candidate is not None
    runs = (*piece.base.runs, *piece.candidate.runs)
    if any(run.is_under_way for run in runs):
        return
    weighing = weigh_piece(piece, direction, snapshot)
    match weighing.answer:
        case Answer.MORE:
            # A run that failed is made up for by one more.
            wanted = weighing.runs_wanted
            base, candidate = (wanted + len(side_of(side).failures) for side in (piece.base, piece.candidate))
            yield QueueTrials(promotion.number, piece.ordinal, base, candidate)
        case Answer.YES | Answer.NO:
            state = PieceState.TAKEN if weighing.answer is Answer.YES else PieceState.DROPPED
            settlement = Settlement(state, weighing.reason, weighing.gain, weighing.holdout)
            yield SettlePiece(promotion.number, piece.ordinal, settlement)
