"""How far a campaign that is resumed may go. Pure."""

from __future__ import annotations

from supervisor.model.snapshot import Campaign, LabSnapshot, Limits
from supervisor.model.states import CampaignState


def limits_from_now(snapshot: LabSnapshot, campaign: Campaign, asked: Limits) -> Limits:
    """The same request as the last one goes on where it was interrupted; another one, or a met one, counts from now.

    A limit that ended the campaign, and that nobody asks for, is given once more.
    """
    met = campaign.state is CampaignState.FINISHED
    used = (
        (campaign.limits.experiments, campaign.asked.experiments, snapshot.counted, asked.experiments),
        (campaign.limits.hours, campaign.asked.hours, campaign.running_s / 3600, asked.hours),
        (campaign.limits.usd, campaign.asked.usd, sum(a.cost_usd for a in snapshot.agents), asked.usd),
    )
    experiments, hours, usd = (_extended(*one, met=met) for one in used)
    return Limits(None if experiments is None else round(experiments), hours, usd, campaign.limits.usd_each)


def _extended(
    limit: float | None, before: float | None, used: float, asked: float | None, *, met: bool
) -> float | None:
    is_used_up = limit is not None and used >= limit
    if asked is None:
        return used + limit if limit is not None and is_used_up else limit
    is_the_same = limit is not None and asked == (limit if before is None else before)
    return limit if is_the_same and not (met and is_used_up) else used + asked
