"""How far a promotion is, and how long it may still take. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.model.experiment import Run
from supervisor.model.promotion import ACTIVE, Piece, PieceKind, PieceState, Promotion
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import RunState
from supervisor.promotion.paired_test import LOOKS

OVERHEAD = 1.4  # what a run takes beside its budget, until one was seen


@dataclass(frozen=True, slots=True)
class PromotionProgress:
    """Training runs done and, as far as is known, wanted; more are added while the answer is unclear."""

    runs: float  # those under way count in part
    wanted: int
    seconds_left: float
    doing: str
    ahead: int  # promotions that come first


def progress_of(snapshot: LabSnapshot, promotion: Promotion) -> PromotionProgress:
    """How far it is by now."""
    finished, planned = 0.0, 0
    for piece in promotion.pieces:
        runs = _runs(piece)
        finished += sum(_share(run.state, run.progress.fraction if run.progress else 0.0) for run in runs)
        planned += len(runs) or (2 * LOOKS[0] if _to_be_measured(promotion, piece) else 0)
    devices = max(1, sum(not device.problem for device in snapshot.devices))
    ahead = sum(p.number < promotion.number and p.state in ACTIVE for p in snapshot.promotions)
    current = promotion.current
    doing = f"{current.state} {current.title}" if current else str(promotion.state)
    seconds_left = (planned - finished) * seconds_of_a_run(snapshot) / devices
    return PromotionProgress(finished, planned, seconds_left, doing, ahead)


def _runs(piece: Piece) -> tuple[Run, ...]:
    return tuple(run for side in (piece.base, piece.candidate) if side is not None for run in side.runs)


def _share(state: RunState, fraction: float) -> float:
    return {RunState.FINISHED: 1.0, RunState.RUNNING: fraction}.get(state, 0.0)


def _to_be_measured(promotion: Promotion, piece: Piece) -> bool:
    return promotion.measured and piece.kind is not PieceKind.GROUND and piece.state is PieceState.WAITING


def seconds_of_a_run(snapshot: LabSnapshot) -> float:
    """What a run has taken so far, on average, and before the first one a guess."""
    runs = (run for e in (*snapshot.trials, *snapshot.experiments) for run in e.runs)
    durations = [run.total_s for run in runs if run.total_s is not None]
    if durations:
        return sum(durations) / len(durations)
    return snapshot.campaign.setting.budget_s * OVERHEAD if snapshot.campaign else 0.0
