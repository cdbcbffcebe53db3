"""Whether the person still has the code that the campaign started from, before it is gone on with."""

from __future__ import annotations

from collections.abc import Sequence

from sessions.git.repository import Repository
from supervisor.campaign.options import LaunchOptions
from supervisor.errors import LaunchError
from supervisor.lab.branches import base_at
from supervisor.lab.config import CONFIG_FILE
from supervisor.lab.paths import Lab
from supervisor.lab.programs import Say
from supervisor.model.base import Base
from supervisor.model.promotion import PromotionState
from supervisor.model.snapshot import Campaign, LabSnapshot
from supervisor.model.states import CampaignState
from supervisor.store.campaigns import record_seen_commit
from supervisor.store.connection import Store
from supervisor.text import one_line

# What people go on writing while a campaign runs, and no run reads.
_BESIDE_THE_CODE = frozenset(
    {CONFIG_FILE, "program.md", "README.md", "CHANGELOG.md", "LICENSE", ".gitignore"}
)


class BaseMoved(LaunchError):  # noqa: N818 (reads as what it says)
    """What is checked out is not what the campaign started from, and nobody has said which is meant."""

    def __init__(self, tag: str, base: Base, here: Base, changed: Sequence[str]) -> None:
        self.tag, self.base, self.here = tag, base, here
        if here.branch == base.branch:
            self.what = (
                f"{here.name} has moved to {here.commit[:7]} since run {tag} started from {base.commit[:7]}"
            )
        else:
            self.what = f"{here.place} is checked out, and run {tag} started from {base.place}"
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        self.what += f" ({changed[0]}{more} changed)"
        super().__init__(
            f"{self.what}: `launch --base {base.commit[:7]}` goes on with {tag}, "
            f"`launch --base {here.branch or here.commit[:7]}` starts a new run from there"
        )


def asks_another_base(repository: Repository, campaign: Campaign, options: LaunchOptions) -> bool:
    """Whether `--base` names another commit than the campaign's. Raises LaunchError for one that is not there."""
    return options.base is not None and base_at(repository, options.base).commit != campaign.base_commit


def expect_same_base(
    repository: Repository, lab: Lab, store: Store, snapshot: LabSnapshot, options: LaunchOptions, say: Say
) -> None:
    """See that to go on with the campaign is what the person means. Raises BaseMoved.

    An answer is remembered: the same commit is asked about once. A campaign that is at work is only told of.
    """
    campaign, here = snapshot.campaign, base_at(repository)
    assert campaign is not None
    if here.commit in _known_commits(snapshot):
        return
    changes = repository.changed_paths(campaign.base_commit, here.commit)
    canvas = set(lab.config.lab.canvas(change.path for change in changes))
    changed = [c.path for c in changes if c.path in canvas or lab.within(c.path) not in _BESIDE_THE_CODE]
    if not changed:
        return
    moved = BaseMoved(campaign.tag, campaign.base, here, changed)
    if options.base is not None:
        record_seen_commit(store, campaign.tag, here.commit)
    elif not (snapshot.supervisor_alive and campaign.state in (CampaignState.RUNNING, CampaignState.PAUSED)):
        raise moved
    say(f"note: {one_line(moved.what)}; {campaign.tag} goes on from {campaign.base_commit[:7]}")


def _known_commits(snapshot: LabSnapshot) -> frozenset[str]:
    """Where the campaign began, what it made itself, what came of its promotions, and what was answered before."""
    campaign = snapshot.campaign
    assert campaign is not None
    landed = {p.landed_commit for p in snapshot.promotions if p.state is PromotionState.LANDED}
    own = {experiment.commit for experiment in snapshot.experiments if experiment.commit}
    return frozenset({campaign.base_commit, campaign.seen_commit, *landed, *own})
