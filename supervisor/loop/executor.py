"""Doing what `policy` decided. Every action is one transition of the store, with what must happen around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from sessions.errors import SessionError
from sessions.git.repository import Repository
from supervisor.lab.paths import Lab
from supervisor.model.actions import (
    Action,
    Adopt,
    AskChief,
    ChangeState,
    EndPromotion,
    Judge,
    Mend,
    PreparePiece,
    PromotionAction,
    QueueRun,
    QueueTrials,
    SendBack,
    SettleBaseline,
    SettlePiece,
    StartRun,
)
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import HypothesisState
from supervisor.promotion.apply import PieceApplier
from supervisor.runs.run import start_run
from supervisor.runs.spec import Job
from supervisor.store import campaigns, experiments, hypotheses, promotions, runs
from supervisor.store.connection import Store


@dataclass(frozen=True, slots=True)
class Executor:
    """The hands of the supervisor."""

    lab: Lab
    store: Store
    repository: Repository

    def do(self, action: Action, snapshot: LabSnapshot, now: float) -> bool:
        """Carry one action out; True when it changed the lab. Raises SessionError, LabError, OSError."""
        assert snapshot.campaign is not None
        tag, store = snapshot.campaign.tag, self.store
        match action:
            case ChangeState():
                campaigns.set_campaign_state(store, tag, action.state, action.reason, now)
            case SettleBaseline():
                campaigns.decide_baseline(store, tag, action.experiment_id, now, action.text)
            case QueueRun():
                runs.queue_runs(store, tag, action.experiment_id, action.kind, action.count, now)
            case StartRun():
                return self._start(action, snapshot, now)
            case Judge():
                return experiments.record_verdict(
                    store,
                    tag,
                    action.experiment_id,
                    action.judgement,
                    now,
                    new_incumbent=action.new_incumbent,
                    retry=action.retry,
                )
            case Mend():
                return experiments.send_to_mend(store, tag, action.experiment_id, action.why, now)
            case SendBack():
                return experiments.send_back(store, tag, action.experiment_id, action.new_parent_id, now)
            case Adopt():
                self._adopt(action, snapshot, now)
            case AskChief():
                return campaigns.request_plan(store, tag, action.why, now)
            case PreparePiece() | QueueTrials() | SettlePiece() | EndPromotion():
                return self._promote(action, snapshot, now)
            case _:
                assert_never(action)
        return True

    def _promote(self, action: PromotionAction, snapshot: LabSnapshot, now: float) -> bool:
        campaign, store = snapshot.campaign, self.store
        promotion = next(p for p in snapshot.promotions if p.number == action.promotion)
        assert campaign is not None
        if isinstance(action, EndPromotion):
            return promotions.end_promotion(store, promotion, action.state, action.reason, now)
        piece = promotion.pieces[action.piece - 1]
        match action:
            case PreparePiece():
                return PieceApplier(
                    self.lab, store, self.repository, campaign, promotion, piece, now
                ).prepare()
            case QueueTrials():
                runs_wanted = (action.base_runs, action.candidate_runs)
                return promotions.queue_trials(
                    store, campaign.tag, promotion.number, piece.ordinal, *runs_wanted, now
                )
            case SettlePiece():
                return promotions.settle_piece(store, promotion, piece, action.settlement, now)

    def _start(self, action: StartRun, snapshot: LabSnapshot, now: float) -> bool:
        campaign, run = snapshot.campaign, snapshot.run(action.run_id)
        assert campaign is not None and run is not None
        experiment = snapshot.experiment(run.experiment_id)
        by_id = {device.id: device for device in snapshot.devices}
        assert experiment is not None
        try:
            others = tuple(by_id[other] for other in action.others)
            job = Job(experiment, run, by_id[action.device_id], others)
            return start_run(self.lab, self.store, self.repository, campaign, job, now)
        except SessionError as error:
            text = f"{run.id} did not start on {action.device_id}: {error}"
            campaigns.log_event(self.store, campaign.tag, now, "", text)
            return True

    def _adopt(self, action: Adopt, snapshot: LabSnapshot, now: float) -> None:
        assert snapshot.campaign is not None
        tag = snapshot.campaign.tag
        experiments.adopt_incumbent(self.store, tag, action.agent, action.experiment_id, now, action.why)
        known = {h.title for h in snapshot.hypotheses}
        ports = tuple(port for port in action.ports if port.title not in known)
        if ports:
            state = HypothesisState.OPEN
            hypotheses.add_hypotheses(self.store, tag, action.agent, ports, state, now, first=True)
