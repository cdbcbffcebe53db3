"""Whether one more step of thinking may begin: a budget is never passed, not even by the last step. Pure."""

from __future__ import annotations

from supervisor.model.snapshot import Agent, LabSnapshot, Limits
from supervisor.model.states import AgentState, CampaignState, ExperimentState, Role, Wanted

FIRST_STEP_USD = 0.05  # what the first step is taken to cost; then the largest one that was seen
FREE = frozenset({"offline"})


def spent_out(snapshot: LabSnapshot, agent: Agent) -> str:
    """Why the agent may begin no further step, "" when it may.

    A model without a known price can't be held to a budget, so it is not started on one.
    """
    limits = snapshot.campaign.limits if snapshot.campaign else Limits()
    total, usd_each = limits.usd, limits.usd_each
    if (total is None and usd_each is None) or agent.backend in FREE:
        return ""
    if agent.spending.unpriced:
        return f"there is a budget, and no price is known for {agent.spending.unpriced}"
    next_usd = agent.spending.largest_usd or FIRST_STEP_USD
    run_usd = sum(each.cost_usd for each in snapshot.agents)
    if usd_each is not None and agent.cost_usd + next_usd > usd_each:
        return f"${agent.cost_usd:.2f} of its ${usd_each:.2f} are spent, and a step may cost ${next_usd:.2f}"
    if total is not None and run_usd + next_usd > total:
        return f"${run_usd:.2f} of the run's ${total:.2f} are spent, and a step may cost ${next_usd:.2f}"
    return ""


def limit_reached(snapshot: LabSnapshot) -> str:
    """Why the campaign should end, or ""."""
    campaign = snapshot.campaign
    if campaign is None:
        return ""
    limits = campaign.limits
    run_usd = sum(agent.cost_usd for agent in snapshot.agents)
    if limits.experiments is not None and snapshot.counted + _abandoned(snapshot) >= limits.experiments:
        return f"{snapshot.counted} experiments"
    if limits.hours is not None and campaign.running_s >= limits.hours * 3600:
        return f"{limits.hours:g} hours"
    if limits.usd is not None and run_usd >= limits.usd:
        return f"${run_usd:.2f} of ${limits.usd:.2f}"
    juniors = [a for a in snapshot.agents if a.role is Role.JUNIOR and a.wanted is Wanted.RUNNING]
    broke = [why for why in (spent_out(snapshot, a) for a in juniors) if why]
    return broke[0] if broke and len(broke) == len(juniors) else ""


def accepts_work(snapshot: LabSnapshot) -> bool:
    """Whether juniors may begin something new."""
    campaign = snapshot.campaign
    return campaign is not None and campaign.state is CampaignState.RUNNING and not limit_reached(snapshot)


def _abandoned(snapshot: LabSnapshot) -> int:
    gone = {a.name for a in snapshot.agents if a.state in (AgentState.CRASHED, AgentState.STOPPED)}
    return sum(e.state is ExperimentState.DRAFTING and e.agent in gone for e in snapshot.experiments)
