"""A promotion with the real supervisor, tmux and runners: killed while it trains, gone on with, and nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from supervisor.model.promotion import PromotionState
from supervisor.model.states import RunState
from tests.worlds.labs import TOY_CANVAS, git, make_toy_lab
from tests.worlds.live import CLI, live, running


def test_a_killed_promotion_lands_though_the_campaign_was_stopped(tmp_path: Path) -> None:
    lab = make_toy_lab(tmp_path / "lab", TOY_CANVAS.replace("SECONDS = 0.5", "SECONDS = 1.0"))
    git(lab.root, "config", "user.name", "A Person")
    git(lab.root, "config", "user.email", "person@example.org")
    with live(lab) as alive:
        alive.launch_and_leave("400", "2")
        alive.wait(lambda s: s.champion_id not in (None, s.baseline_id), "a champion")
        command = subprocess.Popen(
            [CLI, "promote", "--yes"],
            cwd=lab.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        alive.wait(lambda s: any(r.state is RunState.RUNNING for t in s.trials for r in t.runs), "a trial")
        command.kill()
        command.wait()
        for supervisor in alive.processes("supervise", str(lab.root)):
            os.kill(supervisor.pid, signal.SIGKILL)
        assert alive.cli("stop").returncode == 0
        ended = alive.cli("promote", "--yes")
        assert ended.returncode == 0 and "on main as" in ended.stdout, ended.stderr
        after = alive.wait(lambda s: not s.supervisor_alive, "the supervisor's end")
        assert [p.state for p in after.promotions] == [PromotionState.LANDED]
        assert not running(after) and after.campaign.state == "stopped"  # type: ignore[union-attr]
    assert git(lab.root, "rev-list", "--count", "main").strip() == "2"
    assert git(lab.root, "status", "--porcelain") == ""
