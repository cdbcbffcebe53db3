"""How far a campaign goes that was interrupted, and one that has ended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from supervisor.campaign.limits import limits_from_now
from supervisor.model.snapshot import LabSnapshot, Limits
from supervisor.model.states import CampaignState
from tests.tui.screen.snapshots import CAMPAIGN, ROOT

RUNNING, FINISHED = CampaignState.RUNNING, CampaignState.FINISHED


@pytest.mark.parametrize(
    ("state", "limit", "before", "made", "asked", "now"),
    [
        (RUNNING, 4, 4, 2, 4, 4),  # the same command after a reboot
        (RUNNING, 4, 4, 4, 4, 4),  # all are made, what they owe is not
        (FINISHED, 4, 4, 4, 4, 8),  # once more
        (FINISHED, 4, 4, 4, 6, 10),
        (FINISHED, 8, 4, 6, 4, 8),  # another limit ended it
        (RUNNING, 8, 4, 6, 4, 8),  # the second four, interrupted
        (RUNNING, 100, 100, 40, 10, 50),  # another wish counts from now
        (RUNNING, 4, None, 2, 4, 4),  # of an earlier version, or from the file
        (RUNNING, None, None, 2, 4, 6),
        (FINISHED, 4, 4, 4, None, 8),  # nobody asks: as much once more
        (RUNNING, 4, 4, 2, None, 4),
    ],
)
def test_how_many_experiments_a_launch_means(
    state: CampaignState, limit: int | None, before: int | None, made: int, asked: int | None, now: int
) -> None:
    campaign = replace(
        CAMPAIGN,
        state=state,
        limits=Limits(experiments=limit, hours=8.0),
        asked=Limits(before),
        running_s=3600.0,
    )
    snapshot = LabSnapshot(ROOT, 1.0, 1, campaign, counted=made)
    limits = limits_from_now(snapshot, campaign, Limits(experiments=asked))
    assert (limits.experiments, limits.hours) == (now, 8.0)


def test_hours_and_dollars_count_as_experiments_do() -> None:
    campaign = replace(
        CAMPAIGN, limits=Limits(hours=8.0, usd=20.0), asked=Limits(hours=8.0), running_s=10_800.0
    )
    snapshot = LabSnapshot(ROOT, 1.0, 1, campaign)
    assert limits_from_now(snapshot, campaign, Limits(hours=8.0)).hours == 8.0
    assert limits_from_now(snapshot, campaign, Limits(hours=2.0)).hours == 5.0
    assert limits_from_now(snapshot, campaign, Limits(usd=20.0)).usd == 20.0
