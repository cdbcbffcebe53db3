"""When the lab is no longer what the campaign was measured with: its scores end there, and a new campaign begins."""

from __future__ import annotations

import time
from dataclasses import replace

from supervisor.campaign.options import LaunchOptions
from supervisor.campaign.setting import details_of, setting_changes
from supervisor.errors import LaunchError
from supervisor.lab.config import CONFIG_FILE
from supervisor.lab.hardware import cores_compared
from supervisor.lab.paths import Lab
from supervisor.lab.programs import Say
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import CampaignState
from supervisor.store import campaigns, reading
from supervisor.store.connection import Store
from supervisor.text import one_line

_MOST_TOLD = 3


def leaves_its_setting(
    lab: Lab, store: Store, snapshot: LabSnapshot, options: LaunchOptions, say: Say
) -> bool:
    """Whether what is launched now can't be compared with the campaign there is; that is said, and the campaign ended.

    One that is at work goes on as it was started. Raises LaunchError where its tag was asked for.
    """
    campaign = snapshot.campaign
    assert campaign is not None
    if not campaign.setting.details:
        details = details_of(lab, cores_compared(lab, reading.cpu_slots(store)))
        campaigns.record_details(store, replace(campaign.setting, details=details))
        return False
    changed = setting_changes(lab, campaign)
    if not changed:
        return False
    what = one_line(told(changed))
    if campaign.state in (CampaignState.RUNNING, CampaignState.PAUSED):
        if snapshot.supervisor_alive:
            say(
                f"note: {what}; {campaign.tag} goes on as it was started: `stop` it, and `launch` begins anew"
            )
            return False
        campaigns.set_campaign_state(store, campaign.tag, CampaignState.STOPPED, what, time.time())
    if options.tag == campaign.tag:
        raise LaunchError(
            f"{what}: {campaign.tag} can't go on; `launch` without --tag {campaign.tag} begins anew"
        )
    say(
        f"{what}: a new run begins, in a setting of its own; its scores are never ranked with those of {campaign.tag}"
    )
    return True


def told(changed: tuple[str, ...]) -> str:
    """What has changed, in a few words for a person."""
    file = CONFIG_FILE if any("." in line.split()[0] for line in changed) else "the lab's environment"
    more = f" and {len(changed) - _MOST_TOLD} more" if len(changed) > _MOST_TOLD else ""
    return f"{file} has changed: {', '.join(changed[:_MOST_TOLD])}{more}"
