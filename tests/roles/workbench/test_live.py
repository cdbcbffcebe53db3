"""The whole lab with an interactive junior: tmux, the supervisor, its client, a verdict, the end."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from supervisor.lab.paths import find_lab
from supervisor.model.states import CampaignState, Verdict
from tests.worlds.interactive import INTERACTIVE, QUICK
from tests.worlds.labs import make_toy_lab
from tests.worlds.live import live
from tests.worlds.pane import install_client


@pytest.mark.timeout(200)
def test_a_client_in_its_pane_has_an_edit_measured_and_ends_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_toy_lab(tmp_path / "lab", QUICK).root
    with (root / "autoresearch.toml").open("a") as file:
        file.write(INTERACTIVE)
    lab = find_lab(root)
    monkeypatch.setenv("PATH", f"{install_client(tmp_path)}:{os.environ['PATH']}")
    home = lab.state_dir / "agents" / "junior-1" / "home"
    home.mkdir(parents=True)
    canvas = lab.worktrees_dir / "junior-1" / "train.py"
    steps = (
        ["claim_hypothesis", {"own_idea": True}],
        ["edit", str(canvas), "X = 8.0", "X = 4.0"],
        ["run_experiment", {"title": "X 4", "expectation": "lower"}],
        ["wait", {"experiment": "e0001", "seconds": 45}],
        ["hook", "Notification", {"message": "look here"}],
    )
    (home / "script").write_text("".join(json.dumps(step) + "\n" for step in steps))
    with live(lab) as running:
        running.launch_and_leave("1", "1")
        running.wait(
            lambda s: (
                next((a.waiting_for for a in s.agents if a.name == "junior-1"), "") == "look here"
                or (s.campaign is not None and s.campaign.state is CampaignState.FINISHED)
            ),
            "the client's last step",
        )
        end = running.wait(
            lambda s: s.campaign is not None and s.campaign.state is CampaignState.FINISHED, "the end"
        )
        (mine,) = (e for e in end.experiments if e.agent)
        assert (mine.title, mine.verdict) == ("X 4", Verdict.KEEP)
        running.wait(lambda _: not running.processes("client.py", str(lab.root)), "the client's end", 30)
