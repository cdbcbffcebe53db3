"""What the harness costs: seconds between the end of one run and the start of the next on a device.

A real campaign with trainings that sleep for two seconds: real runners, benches, store and verdicts; what
remains between two runs on the device is ours. `python benchmarks/handover.py`
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from sessions.git.repository import Repository
from sessions.tmux.terminal import TmuxServer, socket_name_for
from supervisor.campaign.launch import launch
from supervisor.campaign.options import LaunchOptions
from supervisor.lab.paths import Lab, find_lab
from supervisor.model.states import CampaignState
from supervisor.snapshot_reader import LabReader
from supervisor.store.connection import Store

EXPERIMENTS = 8
PATIENCE_S = 180.0
CANVAS = """\
import time
print("awake:", time.time(), flush=True)
WIDTH = 64
DEPTH = 4
RATE = 0.5
BETA = 0.9
time.sleep(2)
print("score:", WIDTH + DEPTH + RATE + BETA)
"""
CONFIG = """\
[lab]
editable = ["train.py"]
command = "{python} train.py"
setup = ""
budget_s = 2
clock = "wall"
[metric]
name = "score"
direction = "higher"
"""


def main() -> None:
    """Run the campaign and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "lab"
        root.mkdir()
        (root / "train.py").write_text(CANVAS)
        (root / "autoresearch.toml").write_text(CONFIG)
        subprocess.run(["git", "init", "-q", "-b", "main"], cwd=root, check=True)
        Repository(root).commit_first(["train.py", "autoresearch.toml"], "a lab that sleeps")
        lab = find_lab(root)
        try:
            launch(lab, LaunchOptions(juniors=1, devices="cpu:0", experiments=EXPERIMENTS), lambda _: None)
            runs = wait_for_runs(lab)
        finally:
            TmuxServer(socket_name_for(root)).stop()
        spans = sorted(span_of(lab.runs_dir / run.partition(".")[0], run) for run in runs)
    gaps = [(after[0] - before[2], after[1] - before[2]) for before, after in pairwise(spans)]
    print(f"{'one device, seconds':<44}{'median':>8}{'best':>8}{'worst':>8}")
    for name, column in (
        ("end of a run → next runner started", 0),
        ("end of a run → next training's first line", 1),
    ):
        seconds = sorted(gap[column] for gap in gaps)
        print(f"{name:<44}{statistics.median(seconds):8.2f}{seconds[0]:8.2f}{seconds[-1]:8.2f}")
    print(f"{len(gaps)} hand-overs; a worst case that waits for a new hypothesis is among them")


def wait_for_runs(lab: Lab, patience_s: float = PATIENCE_S) -> list[str]:
    """The ids of all runs that were measured, once the campaign is over."""
    reader = LabReader(lab, Store(lab.db))
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        snapshot = reader.read()
        if snapshot.campaign and snapshot.campaign.state in (CampaignState.FINISHED, CampaignState.STOPPED):
            break
        time.sleep(0.5)
    else:
        sys.exit("the campaign did not end; is the machine very busy?")
    return [run.id for e in snapshot.experiments for run in e.runs if run.metric is not None]


def span_of(folder: Path, run: str) -> tuple[float, float, float]:
    """When a run's runner started, its training printed its first line, and it ended; epoch seconds."""
    attempt = folder / f"run-{run.partition('.')[2]}"
    outcome = json.loads((attempt / "outcome.json").read_text())
    log = (attempt / "run.log").read_text().splitlines()
    awake = next(float(line.partition(":")[2]) for line in log if line.startswith("awake:"))
    return outcome["started_at"], awake, outcome["finished_at"]


if __name__ == "__main__":
    main()
