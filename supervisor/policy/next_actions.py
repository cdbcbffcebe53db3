"""What to do next: one pure function of the snapshot. The supervisor does what it says, then asks again."""

from __future__ import annotations

from collections.abc import Iterator

from supervisor.analysis.champion import CHAMPION_RUNS, is_refuted, lags_behind
from supervisor.analysis.limits import accepts_work, limit_reached
from supervisor.analysis.lineage import lineage_of
from supervisor.analysis.sequential_test import DecideRules
from supervisor.analysis.streaks import ANOTHER_PARENT_AFTER, stuck_juniors, wants_another_parent
from supervisor.model.actions import Action, Adopt, AskChief, ChangeState, Judge, SendBack
from supervisor.model.experiment import Experiment
from supervisor.model.promotion import PromotionState
from supervisor.model.snapshot import Agent, Campaign, LabSnapshot
from supervisor.model.states import (
    UNCLAIMED,
    AgentState,
    CampaignState,
    ExperimentState,
    Role,
    RunState,
    Verdict,
    Wanted,
)
from supervisor.policy.run_queue import drift_runs, estimate_runs, proving_runs, start_runs
from supervisor.policy.verdicts import judge, judge_baseline, lost_keeps, port_of
from supervisor.promotion.candidates import promoted_ids
from supervisor.promotion.next_step import promotion_actions

PLAN_AHEAD = 2  # open hypotheses per junior below which the chief is asked for more


def next_actions(snapshot: LabSnapshot, rules: DecideRules) -> tuple[Action, ...]:
    """Everything that should happen now, in order. Doing it changes the snapshot; then this is asked again."""
    campaign = snapshot.campaign
    if campaign is None:
        return ()
    change = _obey(campaign)
    if change is not None:
        return (change,)
    promotions = tuple(promotion_actions(snapshot))
    if promotions:
        return promotions
    if campaign.state in (CampaignState.STOPPED, CampaignState.FINISHED):
        return start_runs(snapshot, rules, candidates=False, research=False)
    verdicts = tuple(_verdicts(snapshot, rules))
    if verdicts:
        return verdicts
    if campaign.state is CampaignState.PAUSED:
        return start_runs(snapshot, rules, candidates=False, research=False)
    moves = tuple(_moves(snapshot))
    if moves:
        return moves
    return (*_runs(snapshot, rules), *_planning(snapshot))


def _obey(campaign: Campaign) -> ChangeState | None:
    match campaign.wanted, campaign.state:
        case Wanted.PAUSED, CampaignState.RUNNING:
            return ChangeState(CampaignState.PAUSED, "by the person")
        case Wanted.STOPPED, CampaignState.RUNNING | CampaignState.PAUSED:
            return ChangeState(CampaignState.STOPPED, "by the person")
        case Wanted.RUNNING, CampaignState.PAUSED:
            return ChangeState(CampaignState.RUNNING, "")
        case _:
            return None


def _verdicts(snapshot: LabSnapshot, rules: DecideRules) -> Iterator[Action]:
    baseline = snapshot.experiment(snapshot.baseline_id)
    if baseline is not None and not baseline.is_decided:
        outcome = judge_baseline(snapshot, baseline)
        if outcome is not None:
            yield outcome
    elif baseline is not None and baseline.verdict is not Verdict.BASELINE:
        what = "is refused" if baseline.verdict is Verdict.REJECTED else "does not run"
        yield ChangeState(CampaignState.STOPPED, f"the code as it stands {what}: {baseline.reason}")
        return
    queued: set[str] = set()
    for experiment in snapshot.experiments:
        if experiment.state is not ExperimentState.MEASURING or experiment.id == snapshot.baseline_id:
            continue
        step = judge(snapshot, experiment, rules)
        if step is None or (not isinstance(step, Judge) and step.experiment_id in queued):
            continue
        queued.add(step.experiment_id)
        yield step
        if isinstance(step, Judge) and step.new_incumbent:
            return  # everything else looks different from here


def _moves(snapshot: LabSnapshot) -> Iterator[Action]:
    champion = snapshot.experiment(snapshot.champion_id)
    for agent in snapshot.agents:
        incumbent = snapshot.experiment(agent.incumbent_id)
        if champion is None or incumbent is None:
            continue
        if incumbent.verdict is Verdict.KEEP and is_refuted(snapshot, incumbent):
            why = f"the gain of {incumbent.id} is not there on the sealed holdout"
            yield Adopt(agent.name, champion.id, why)
            continue
        why = _reason_to_move(snapshot, incumbent, champion) or _reason_to_leave(snapshot, agent, incumbent)
        if why:
            ports = tuple(port_of(keep, champion.id) for keep in lost_keeps(snapshot, agent, champion))
            yield Adopt(agent.name, champion.id, why, ports)
    for experiment in snapshot.experiments:
        owner = snapshot.agent(experiment.agent)
        if owner is None or owner.incumbent_id is None or experiment.state is not ExperimentState.READY:
            continue
        if experiment.parent_id != owner.incumbent_id and not _names_parent(snapshot, experiment):
            yield SendBack(experiment.id, owner.incumbent_id)


def _reason_to_move(snapshot: LabSnapshot, incumbent: Experiment, champion: Experiment) -> str:
    if lags_behind(snapshot, incumbent, champion):
        return f"{incumbent.id} lags behind it by more than the noise"
    # Only when the champion stands on what was promoted: else the next look would move the junior back.
    promoted = promoted_ids(snapshot) & {e.id for e in lineage_of(snapshot, champion.id)}
    missing = promoted - {e.id for e in lineage_of(snapshot, incumbent.id)}
    assert snapshot.campaign is not None
    home = snapshot.campaign.base.name
    return f"{home} has {max(missing)} now, and {incumbent.id} lacks it" if missing else ""


def _reason_to_leave(snapshot: LabSnapshot, agent: Agent, incumbent: Experiment) -> str:
    # One that is not well known yet may be the better of the two.
    known = len(incumbent.unbiased_runs) >= CHAMPION_RUNS
    if incumbent.id == snapshot.champion_id or not known or not wants_another_parent(snapshot, agent):
        return ""
    return f"{ANOTHER_PARENT_AFTER} misses in a row on {incumbent.id}"


def _names_parent(snapshot: LabSnapshot, experiment: Experiment) -> bool:
    return any(h.id == experiment.hypothesis_id and h.parent_id is not None for h in snapshot.hypotheses)


def _runs(snapshot: LabSnapshot, rules: DecideRules) -> Iterator[Action]:
    reason = limit_reached(snapshot)
    if not reason:
        yield from drift_runs(snapshot, rules)
        yield from start_runs(snapshot, rules, candidates=True)
        yield from estimate_runs(snapshot, rules)
        return
    # What has begun is finished; what is only queued stays for a later launch with more room.
    owed = proving_runs(snapshot)
    yield from start_runs(snapshot, rules, candidates=False)
    yield from owed
    if not owed and not _anything_under_way(snapshot):
        yield ChangeState(CampaignState.FINISHED, reason)


def _anything_under_way(snapshot: LabSnapshot) -> bool:
    return any(e.state is ExperimentState.MEASURING for e in snapshot.experiments) or any(
        run.state is RunState.RUNNING or (run.state is RunState.QUEUED and e.is_decided)
        for e in snapshot.experiments
        for run in e.runs
    )


def _planning(snapshot: LabSnapshot) -> Iterator[Action]:
    juniors = [a for a in snapshot.agents if a.role is Role.JUNIOR and a.wanted is Wanted.RUNNING]
    has_chief = any(a.role is Role.CHIEF and a.state is not AgentState.CRASHED for a in snapshot.agents)
    if not has_chief or not accepts_work(snapshot):
        return
    waiting = sum(h.state in UNCLAIMED for h in snapshot.hypotheses)
    stuck = stuck_juniors(snapshot)
    reasons = [f"{agent.name}: {count} without progress: invert an assumption" for agent, count in stuck]
    reasons += _landed(snapshot)
    if waiting < PLAN_AHEAD * max(len(juniors), 1):
        reasons.append(f"{waiting} {'hypothesis is' if waiting == 1 else 'hypotheses are'} waiting")
    if reasons:
        yield AskChief("; ".join(reasons))


def _landed(snapshot: LabSnapshot) -> list[str]:
    """Promotions that landed since the chief's last plan."""
    chiefs = {agent.name for agent in snapshot.agents if agent.role is Role.CHIEF}
    planned_at = max((h.created_at for h in snapshot.hypotheses if h.author in chiefs), default=0.0)
    return [
        f"promotion {p.number} is on {p.home.name}"
        for p in snapshot.promotions
        if p.state is PromotionState.LANDED and (p.accepted_at or 0.0) > planned_at
    ]
