"""Whether one more step of thinking may begin: a budget is never passed, not even by the last step. Pure."""

from __future__ import annotations

from supervisor.snapshot import Agent, LabSnapshot, Limits

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
    spent = sum(each.cost_usd for each in snapshot.agents)
    if usd_each is not None and agent.cost_usd + next_usd > usd_each:
        return f"${agent.cost_usd:.2f} of its ${usd_each:.2f} are spent, and a step may cost ${next_usd:.2f}"
    if total is not None and spent + next_usd > total:
        return f"${spent:.2f} of the run's ${total:.2f} are spent, and a step may cost ${next_usd:.2f}"
    return ""
