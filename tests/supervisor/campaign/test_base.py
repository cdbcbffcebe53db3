"""Where a campaign starts from, what is asked when that has moved, and where it goes back to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sessions.git.repository import Repository
from supervisor.campaign.base_check import BaseMoved
from supervisor.campaign.launch import open_campaign
from supervisor.campaign.options import LaunchOptions
from supervisor.errors import LabError, LaunchError
from supervisor.lab.branches import home_of
from supervisor.lab.paths import Lab, find_lab
from supervisor.model.base import Base
from supervisor.model.snapshot import Campaign
from supervisor.model.states import CampaignState
from supervisor.store import campaigns
from supervisor.store.connection import Store
from tests.worlds.labs import git, make_toy_lab

Place = Callable[[Path], Path]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return make_toy_lab(tmp_path / "lab")


def launched(lab: Lab, said: list[str] | None = None, base: str | None = None) -> Campaign:
    wanted = LaunchOptions(juniors=1, devices="cpu:0", base=base)
    return open_campaign(lab, wanted, (said if said is not None else []).append)


def ended(lab: Lab, campaign: Campaign) -> None:
    campaigns.set_campaign_state(Store(lab.db), campaign.tag, CampaignState.FINISHED, "enough", 1.0)


def commit(root: Path, text: str, name: str = "train.py") -> str:
    (root / name).write_text(text)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", f"mine: {text[:20]}")
    return git(root, "rev-parse", "HEAD").strip()


def in_a_linked_worktree(root: Path) -> Path:
    git(root, "worktree", "add", "-q", "-b", "feature", str(root.parent / "linked"))
    return root.parent / "linked"


def on_a_session_branch(root: Path) -> Path:
    git(root, "switch", "-q", "-c", "autoresearch/faster")
    return root


def on_a_trunk_of_another_name(root: Path) -> Path:
    git(root, "branch", "-q", "-m", "main", "trunk")
    return root


def on_a_detached_head(root: Path) -> Path:
    git(root, "switch", "-q", "--detach")
    return root


@pytest.mark.parametrize(
    ("place", "branch"),
    [
        (in_a_linked_worktree, "feature"),
        (on_a_session_branch, "autoresearch/faster"),
        (on_a_trunk_of_another_name, "trunk"),
        (on_a_detached_head, ""),
    ],
)
def test_the_base_is_what_the_person_has(lab: Lab, place: Place, branch: str) -> None:
    root = place(lab.root)
    head = commit(root, "X = 6.0\n")
    said: list[str] = []
    campaign = launched(find_lab(root), said)
    assert campaign.base == Base(branch, head)
    shown = f"{branch} at {head[:7]}" if branch else f"commit {head[:7]}"
    assert said[0] == f"base: {shown} “mine: X = 6.0”"


def test_another_base_is_named(lab: Lab) -> None:
    first = git(lab.root, "rev-parse", "HEAD").strip()
    git(lab.root, "branch", "other")
    head = commit(lab.root, "X = 6.0\n")
    with pytest.raises(LaunchError, match="--base nothing: git knows no such commit"):
        launched(lab, base="nothing")
    campaign = launched(lab, base=first[:8])
    assert campaign.base == Base("main", first), "a commit of the checked-out branch goes back to that"
    ended(lab, campaign)
    assert launched(lab, base="other").tag == campaign.tag, "the same commit is the same run"
    ended(lab, campaign)
    assert launched(lab, base="main").base == Base("main", head)


def test_a_base_that_moved_is_asked_about_once(lab: Lab) -> None:
    campaign = launched(lab)
    ended(lab, campaign)
    old = campaign.base_commit
    assert launched(lab).tag == campaign.tag, "the same run is resumed by the same command"
    ended(lab, campaign)
    commit(lab.root, "X = 5.0  # a plan\n", "program.md")
    assert launched(lab).tag == campaign.tag, "no run reads what was changed"
    ended(lab, campaign)
    new = commit(lab.root, "X = 5.0\n")
    with pytest.raises(BaseMoved) as refused:
        launched(lab)
    words = str(refused.value)
    assert f"main has moved to {new[:7]} since run {campaign.tag} started from {old[:7]} (train.py" in words
    assert f"`launch --base {old[:7]}` goes on" in words and "`launch --base main` starts a new run" in words
    said: list[str] = []
    assert launched(lab, said, base=old[:7]).tag == campaign.tag
    assert any(line.startswith("note: main has moved") for line in said)
    ended(lab, campaign)
    assert launched(lab).tag == campaign.tag, "it was answered"
    ended(lab, campaign)
    git(lab.root, "switch", "-q", "-c", "feature")
    commit(lab.root, "X = 4.0\n")
    with pytest.raises(BaseMoved, match=r"feature at \w+ is checked out, and run \w+ started from main at"):
        launched(lab)
    after = launched(lab, base="feature")
    assert after.tag != campaign.tag and after.base_branch == "feature"


def test_a_campaign_goes_back_to_where_it_came_from(lab: Lab) -> None:
    repository = Repository(lab.root)
    first = repository.rev_parse("HEAD")
    git(lab.root, "switch", "-q", "-c", "develop")
    head = commit(lab.root, "X = 6.0\n")
    assert home_of(repository, Base("develop", first)) == ("develop", head)
    assert home_of(repository, Base("", first)) == ("main", first), "as labs of earlier versions did"
    assert home_of(repository, Base("", head)) == ("develop", head), "the branch that holds it"
    git(lab.root, "switch", "-q", "--detach")
    alone = commit(lab.root, "X = 5.0\n")
    with pytest.raises(LabError, match=f"no branch holds {alone[:10]}.*`git branch NAME {alone[:10]}`"):
        home_of(repository, Base("", alone))
    with pytest.raises(LabError, match=f"branch was-here.*is gone; `git branch was-here {head[:10]}`"):
        home_of(repository, Base("was-here", head))
