"""What thinking costs the device: its busy share with a model that thinks for a fifth of a run, with drafts ahead
and without.

One junior on the backend `anthropic`, the real SDK and a model on loopback that takes its time; trainings that
sleep: real runners, benches, store and verdicts. `python benchmarks/thinking.py [SECONDS OF A RUN]`
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from handover import CANVAS, CONFIG, PATIENCE_S, span_of, wait_for_runs

from sessions.git.repository import Repository
from sessions.tmux.terminal import TmuxServer, socket_name_for
from supervisor.campaign.launch import launch
from supervisor.campaign.options import LaunchOptions
from supervisor.lab.paths import find_lab

EXPERIMENTS = 10
THINKING = 0.2  # of a run, over all turns of an experiment: edit, answer, reflection
OPENING_RUNS = 3  # baselines: nobody has thought yet
BUDGET = "budget_s = 2"
CHECKOUT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Shown:
    """One campaign, its baselines left out."""

    busy: float
    gap_s: float
    runs: int
    asked: int  # of the model, in requests


def main() -> None:
    """Run both campaigns and print the table."""
    sys.path.append(str(CHECKOUT))  # for the stand-in
    run_s = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    title = f"one device, one junior, runs of {run_s:g} s, thinking 20 % of it"
    print(f"{title:<60}{'busy':>7}{'gap, s':>8}{'runs':>6}{'asked':>7}")
    for drafts in (0, 1):
        shown = busy_share(drafts, run_s)
        figures = f"{shown.busy:7.1%}{shown.gap_s:8.2f}{shown.runs:6}{shown.asked:7}"
        print(f"{f'drafts_ahead = {drafts}':<60}{figures}", flush=True)
    print("busy: of the time from the first candidate's start to the last one's end, the share in which a")
    print("runner holds the device; gap: the median from one run's end to the next runner's start")


def busy_share(drafts: int, run_s: float) -> Shown:
    """Run one campaign."""
    from tests.stand_in.server import StandIn

    canvas = CANVAS.replace("time.sleep(2)", f"time.sleep({run_s})")
    with tempfile.TemporaryDirectory() as folder, StandIn(thinker(canvas, run_s)) as server:
        root = Path(folder) / "lab"
        root.mkdir()
        (root / "train.py").write_text(canvas)
        (root / "autoresearch.toml").write_text(
            f"{CONFIG.replace(BUDGET, f'budget_s = {run_s}')}[agents]\ndrafts_ahead = {drafts}\n"
        )
        subprocess.run(["git", "init", "-q", "-b", "main"], cwd=root, check=True)
        Repository(root).commit_first(["train.py", "autoresearch.toml"], "a lab that sleeps")
        lab = find_lab(root)
        os.environ |= {"ANTHROPIC_API_KEY": "sk-dummy", "ANTHROPIC_BASE_URL": server.url}
        try:
            options = LaunchOptions(juniors=1, junior="anthropic", devices="cpu:0", experiments=EXPERIMENTS)
            launch(lab, options, lambda _: None)
            runs = wait_for_runs(lab, PATIENCE_S + (EXPERIMENTS + OPENING_RUNS) * 2 * run_s)
        finally:
            TmuxServer(socket_name_for(root)).stop()
        if server.faults:
            sys.exit(f"the model was asked what it can't answer: {server.faults[0]}")
        spans = sorted(span_of(lab.runs_dir / run.partition(".")[0], run) for run in runs)[OPENING_RUNS:]
        held = sum(end - start for start, _, end in spans)
        gap = statistics.median(after[0] - before[2] for before, after in pairwise(spans))
        return Shown(held / (spans[-1][2] - spans[0][0]), gap, len(spans), len(server.asked))


def thinker(canvas: str, run_s: float) -> Callable[[Any], Any]:
    """A model that takes its time and makes every edit once; each is a little worse than what there is."""
    from tests.stand_in.script import ToolCall, Turn

    widths, think_s = itertools.count(1), THINKING * run_s
    expectation = "It should tell a little."
    edited = json.dumps({"result": "edited", "title": "another width", "expectation": expectation})

    def script(asked: Any) -> Any:
        if "edit" not in asked.tools:
            return Turn('{"text": "As expected."}', delay_s=0.2 * think_s)
        if asked.tool_results:
            return Turn(edited, delay_s=0.1 * think_s)
        text = canvas.replace("WIDTH = 64", f"WIDTH = {64 - next(widths)}")
        write = ToolCall("write", {"path": "train.py", "text": text})
        return Turn(expectation, [write], delay_s=0.7 * think_s)

    return script


if __name__ == "__main__":
    main()
