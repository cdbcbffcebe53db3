"""What the supervisor can do next, as data: decided purely in `policy`, done by the executor."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.model.promotion import PromotionState, Settlement
from supervisor.model.records import Judgement
from supervisor.model.snapshot import Hypothesis
from supervisor.model.states import CampaignState, RunKind


@dataclass(frozen=True, slots=True)
class ChangeState:
    """The campaign goes over to another state."""

    state: CampaignState
    reason: str


@dataclass(frozen=True, slots=True)
class SettleBaseline:
    """The baseline has the runs it needs."""

    experiment_id: str
    text: str


@dataclass(frozen=True, slots=True)
class QueueRun:
    """More runs of an experiment's commit are needed."""

    experiment_id: str
    kind: RunKind
    why: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class StartRun:
    """A queued run gets a free device."""

    run_id: str
    device_id: str
    others: tuple[str, ...] = ()  # further devices, of a run that takes several


@dataclass(frozen=True, slots=True)
class Judge:
    """An experiment ends."""

    experiment_id: str
    judgement: Judgement
    new_incumbent: bool = False
    retry: Hypothesis | None = None


@dataclass(frozen=True, slots=True)
class Mend:
    """A draft that crashed goes back to its junior, once, to mend the cause."""

    experiment_id: str
    why: str


@dataclass(frozen=True, slots=True)
class SendBack:
    """A draft that has not run is redrafted on its agent's new incumbent."""

    experiment_id: str
    new_parent_id: str


@dataclass(frozen=True, slots=True)
class Adopt:
    """A junior whose incumbent lags behind builds on the champion; what it had kept is offered again on top."""

    agent: str
    experiment_id: str
    why: str
    ports: tuple[Hypothesis, ...] = ()


@dataclass(frozen=True, slots=True)
class AskChief:
    """The plan runs low."""

    why: str


@dataclass(frozen=True, slots=True)
class PreparePiece:
    """A piece of a promotion is applied on the base branch, or on what stands there so far."""

    promotion: int
    piece: int


@dataclass(frozen=True, slots=True)
class QueueTrials:
    """Both sides of a piece are to have so many runs in all."""

    promotion: int
    piece: int
    base_runs: int
    candidate_runs: int


@dataclass(frozen=True, slots=True)
class SettlePiece:
    """A piece was measured."""

    promotion: int
    piece: int
    settlement: Settlement


@dataclass(frozen=True, slots=True)
class EndPromotion:
    """A promotion needs the supervisor no more."""

    promotion: int
    state: PromotionState
    reason: str


PromotionAction = PreparePiece | QueueTrials | SettlePiece | EndPromotion
Action = (
    ChangeState
    | SettleBaseline
    | QueueRun
    | StartRun
    | Judge
    | Mend
    | SendBack
    | Adopt
    | AskChief
    | PromotionAction
)
