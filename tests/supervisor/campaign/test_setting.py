"""What makes scores comparable: a change of it opens a new setting, and nothing else does."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from supervisor.campaign.launch import open_campaign
from supervisor.campaign.options import LaunchOptions
from supervisor.campaign.setting import changes, details_of, make_setting
from supervisor.errors import LaunchError
from supervisor.lab.config import read_config
from supervisor.lab.paths import Lab, find_lab
from supervisor.loop.supervise import Loop
from supervisor.model.snapshot import Campaign
from supervisor.model.states import CampaignState
from supervisor.snapshot_reader import read_snapshot
from supervisor.store import campaigns
from supervisor.store.connection import Store
from tests.worlds.labs import TOY_CONFIG, git, make_toy_lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return make_toy_lab(tmp_path / "lab")


def with_config(lab: Lab, text: str) -> Lab:
    (lab.root / "autoresearch.toml").write_text(text)
    return find_lab(lab.root)


def launched(lab: Lab, said: list[str] | None = None, tag: str | None = None) -> Campaign:
    wanted = LaunchOptions(juniors=1, devices="cpu:0", tag=tag)
    return open_campaign(lab, wanted, (said if said is not None else []).append)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("{python} train.py", "{python} train.py --fast", "lab.command"),
        ("{python} train.py", "sh -c 'python3 train.py'", "program"),
        ('setup = ""', 'setup = "make data"', "lab.setup"),
        ('"SEED"', '"RANDOM_SEED"', "lab.seed_env"),
        ('setup = ""', 'setup = ""\npython = "env/bin/python"', "lab.python"),
        ('setup = ""', 'setup = ""\ncaches = ["~/data"]', "lab.caches"),
        ('setup = ""', 'setup = ""\nenv = ["MODE"]', "lab.env"),
        ("budget_s = 5", "budget_s = 6", "lab.budget_s"),
        ('direction = "lower"', 'direction = "higher"', "metric.direction"),
        ('name = "score"', 'name = "score"\n[[metric.gate]]\nname = "ok"\nequals = true', "metric.gate"),
        ("[metric]", '[checks]\ncommand = "make test"\n[metric]', "checks.command"),
    ],
)
def test_what_opens_a_new_setting(lab: Lab, old: str, new: str, key: str) -> None:
    other = with_config(lab, TOY_CONFIG.replace(old, new))
    changed = changes(details_of(lab), details_of(other))
    assert any(line.startswith(key) for line in changed), changed
    assert make_setting(lab, "r", "d", "cpu", None).id != make_setting(other, "r", "d", "cpu", None).id


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[metric]", "[agents]\njuniors = 7\n[limits]\nhours = 3\n[decide]\nmax_runs = 2\n[metric]"),
        ("timeout_s = 20", "timeout_s = 99\nsmoke = 'true'\nnew_files = ['*.py']"),
        ('name = "score"', 'name = "score"\nunit = "ms"'),
        ("budget_s = 5", "budget_s = 5\nshare_devices = false"),  # the default, in words
    ],
)
def test_what_does_not(lab: Lab, old: str, new: str) -> None:
    other = with_config(lab, TOY_CONFIG.replace(old, new))
    assert changes(details_of(lab), details_of(other)) == ()
    assert make_setting(lab, "r", "d", "cpu", None).id == make_setting(other, "r", "d", "cpu", None).id


def test_variables_count_by_digest_and_credentials_by_their_presence(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = with_config(lab, TOY_CONFIG.replace('setup = ""', 'setup = ""\nenv = ["MODE", "API_KEY"]'))
    monkeypatch.setenv("MODE", "fast-and-secret")
    monkeypatch.setenv("API_KEY", "sk-1")
    first = details_of(lab)
    assert "fast-and-secret" not in repr(first) and "sk-1" not in repr(first)
    monkeypatch.setenv("API_KEY", "sk-2")
    assert details_of(lab) == first, "a key that was renewed measures the same"
    monkeypatch.setenv("MODE", "slow")
    assert changes(first, details_of(lab)) == ("env MODE",)


def test_a_changed_file_begins_a_new_run_and_says_so(lab: Lab) -> None:
    first = launched(lab)
    changed = with_config(lab, TOY_CONFIG.replace("{python} train.py", "{python} -B train.py"))
    said: list[str] = []
    second = launched(changed, said)
    assert second.tag != first.tag and second.setting.id != first.setting.id
    line = next(line for line in said if "has changed" in line)
    assert "lab.command from `{python} train.py` to `{python} -B train.py`" in line
    assert f"never ranked with those of {first.tag}" in line
    with pytest.raises(LaunchError, match=f"{second.tag} can't go on"):
        launched(lab, tag=second.tag)
    again = launched(lab)
    assert again.setting.id == first.setting.id, "the old words are the old setting"
    assert launched(lab).tag == again.tag


def test_a_supervisor_measures_nothing_in_a_setting_that_ended(lab: Lab) -> None:
    tag = launched(lab).tag
    changed = with_config(lab, TOY_CONFIG.replace('setup = ""', 'setup = "true"'))
    loop = Loop(changed)
    assert loop.run() == 0
    campaign = loop.look().campaign
    assert campaign is not None and (campaign.tag, campaign.state) == (tag, CampaignState.STOPPED)
    assert "lab.setup" in campaign.reason and "`autoresearch-tui launch`" in campaign.reason


def test_a_campaign_of_an_earlier_version_goes_on(lab: Lab) -> None:
    tag = launched(lab).tag
    store = Store(lab.db)
    store.connection.execute("PRAGMA foreign_keys = OFF")
    store.connection.execute("UPDATE settings SET details = '', id = 'as it was named'")
    store.connection.execute("UPDATE campaigns SET setting_id = 'as it was named'")
    store.connection.execute("UPDATE experiments SET setting_id = 'as it was named'")
    store.connection.commit()
    said: list[str] = []
    campaign = launched(lab, said)
    assert campaign.tag == tag and not any("changed" in line for line in said)
    campaign = read_snapshot(lab, store, 1.0).campaign
    assert campaign is not None
    details = campaign.setting.details
    assert details == details_of(lab, details["cores"])
    campaigns.set_campaign_state(store, tag, CampaignState.FINISHED, "enough", 1.0)
    assert launched(lab, tag="next").setting.id == "as it was named", "the same setting by its content"


def test_a_lab_that_was_moved_is_the_same_setting(lab: Lab) -> None:
    venv = lab.root / ".venv" / "bin"
    venv.mkdir(parents=True)
    (venv / "python").symlink_to("/bin/sh")
    (venv.parent / "pyvenv.cfg").write_text("version = 3.11.7\n")
    before = details_of(lab)
    assert before["python"] == ".venv 3.11"
    moved = lab.root.rename(lab.root.with_name("moved"))
    assert details_of(dataclasses.replace(lab, root=moved, state_dir=moved / ".autoresearch")) == before
    assert read_config(moved / "autoresearch.toml") == lab.config
    assert git(moved, "status", "--porcelain", "--untracked-files=no") == ""
