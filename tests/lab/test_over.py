"""A lab whose campaign is over: no server stays behind, what its panes said is there, and it can go on."""

from __future__ import annotations

import json
import time
from pathlib import Path

from supervisor.client.lab_client import LabClient
from supervisor.lab.paths import Lab
from supervisor.model.states import Verdict
from tests.worlds.labs import TOY_CANVAS, make_toy_lab
from tests.worlds.live import live


def ended(root: Path) -> Lab:
    return make_toy_lab(root, TOY_CANVAS.replace("SECONDS = 0.5", "SECONDS = 0.02"))


def test_nothing_stays_but_what_was_said_and_a_launch_goes_on(tmp_path: Path) -> None:
    lab = ended(tmp_path / "lab")
    with live(lab) as alive:
        done = alive.cli("launch", "--headless", "--experiments", "2", "--juniors", "1", "--tag", "t")
        assert done.returncode == 0, done.stdout + done.stderr
        deadline = time.monotonic() + 20
        while alive.server.alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not alive.server.alive()
        assert "junior-1 (offline)" in (lab.panes_dir / "junior-1.txt").read_text()
        assert "campaign t finished" in LabClient(lab).capture("supervisor")
        assert "Pane is dead" not in LabClient(lab).capture("supervisor")

        would = json.loads(alive.cli("gc", "--dry-run", "--json").stdout)
        assert {thing["kind"] for thing in would["things"]} >= {"bench"}
        freed = json.loads(alive.cli("gc", "--json").stdout)
        assert freed["freed_bytes"] == would["freed_bytes"] > 0
        assert not freed["problems"]
        assert not any(path.is_dir() for path in lab.benches_dir.iterdir())
        kept = [e for e in alive.snapshot().experiments if e.verdict is Verdict.KEEP]
        assert all((lab.runs_dir / e.id / "run-1" / "run.log").is_file() for e in kept)

        again = alive.cli("launch", "--headless", "--experiments", "1")
        assert again.returncode == 0, again.stdout + again.stderr
        assert alive.snapshot().counted == 3
