"""A night in fast motion: a chief and two juniors whose model is good, bad, broken, repetitive and a cheat, behind
a provider that limits, fails and drops connections; nothing may stall or get lost.

Real processes, the real SDK, a metric of half a second. `python benchmarks/night.py [EXPERIMENTS]`
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from roles.briefs.layout import CHARS_PER_TOKEN
from roles.briefs.texts import BRIEF_TOKENS, PLAN_TOKENS
from sessions.git.repository import Repository
from sessions.tmux.terminal import TmuxServer, socket_name_for
from supervisor.campaign.launch import launch
from supervisor.campaign.options import LaunchOptions
from supervisor.lab.paths import Lab, find_lab
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import CampaignState, ExperimentState, Role
from supervisor.snapshot_reader import LabReader
from supervisor.store.connection import Store

EXPERIMENTS = 200
FAULTS = 0.1  # of the requests
LONGEST_S = 3600.0
CHECKOUT = Path(__file__).resolve().parents[1]
CANVAS = """\
import os, random, time

X = 8.0  # where the score is taken
SECONDS = 0.5  # how long a training takes

random.seed(int(os.environ.get("SEED", "0")))
time.sleep(SECONDS)
print(f"score: {(X - 3.0) ** 2 + 10.0 + random.gauss(0.0, 0.01):.6f}")
"""
CONFIG = """\
[lab]
editable = ["train.py"]
command = "{python} train.py"
setup = ""
seed_env = "SEED"
budget_s = 5
clock = "wall"
timeout_s = 20
[metric]
name = "score"
"""
KINDS = ("good", "bad", "broken", "repeated", "cheating", "elsewhere", "thought", "nothing")
WEIGHTS = (30, 30, 12, 8, 8, 4, 4, 4)


class Model:
    """Plays the model and its provider."""

    def __init__(self) -> None:
        self.dice, self.lock = random.Random(7), threading.Lock()
        self.numbers = itertools.count(1)
        self.kinds: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def __call__(self, asked: Any) -> Any:
        """The next answer, whatever is asked."""
        with self.lock:
            if self.dice.random() < FAULTS:
                return self._fault()
            return self._answer(asked)

    def _fault(self) -> Any:
        from tests.stand_in.script import Closed, Cut, Malformed, Status

        fault = self.dice.choice(
            (
                Status(429, retry_after=1),
                Status(529, retry_after=1),
                Status(500),
                Cut(),
                Malformed(),
                Closed(),
            )
        )
        self.faults[f"{type(fault).__name__} {getattr(fault, 'code', '')}".strip()] += 1
        return fault

    def _answer(self, asked: Any) -> Any:
        from tests.stand_in.script import ToolCall, Turn

        if "edit" not in asked.tools:
            planning = "A plan for the lab" in asked.text
            return Turn(
                json.dumps(self._plan() if planning else {"text": "As expected.", "note_title": None})
            )
        if asked.tool_results:
            said = {
                "result": "edited",
                "title": f"edit {next(self.numbers)}",
                "expectation": "It helps a little.",
            }
            return Turn(json.dumps(said | {"explanation": ""}))
        kind = self.dice.choices(KINDS, WEIGHTS)[0]
        self.kinds[kind] += 1
        if kind == "thought":
            return Turn(
                json.dumps({"result": "thought", "title": "t", "expectation": "", "explanation": "no use"})
            )
        if kind == "nothing":
            return Turn("I would rather talk about it.")
        path = "README.md" if kind == "elsewhere" else "train.py"
        return Turn("It should help.", [ToolCall("write", {"path": path, "text": self._edited(kind)})])

    def _edited(self, kind: str) -> str:
        step = round(self.dice.uniform(0.001, 5.0), 4)
        texts = {
            "good": CANVAS.replace("X = 8.0", f"X = {3 + step}"),
            "bad": CANVAS.replace("X = 8.0", f"X = {8 + step}"),
            "broken": CANVAS.replace(
                "X = 8.0", f"X = {step} +" if self.dice.random() < 0.5 else f"X = Y{step:g}"[:6]
            ),
            "repeated": CANVAS.replace("X = 8.0", "X = 7.0"),
            "cheating": CANVAS + f'print("score: {-step}")\n',
        }
        return texts.get(kind, "not the canvas\n")

    def _plan(self) -> dict[str, Any]:
        ideas: list[dict[str, Any]] = [
            {
                "title": f"idea {next(self.numbers)}",
                "rationale": "r",
                "change": "move X",
                "expected_gain": None,
            }
            | {"category": "shape", "parent_id": None, "risk": "", "builds_on": [], "falsified_by": ""}
            | {"independent": True}
            for _ in range(6)
        ]
        return {"hypotheses": ideas, "summary": "X is what counts."}


def main() -> None:
    """Run the night and print what became of it."""
    sys.path.append(str(CHECKOUT))  # for the stand-in
    from tests.stand_in.server import StandIn

    wanted, model = int(sys.argv[1]) if len(sys.argv) > 1 else EXPERIMENTS, Model()
    with tempfile.TemporaryDirectory() as folder, StandIn(model) as server:
        root = Path(folder) / "lab"
        root.mkdir()
        (root / "train.py").write_text(CANVAS)
        (root / "README.md").write_text("a toy\n")
        (root / "autoresearch.toml").write_text(CONFIG)
        subprocess.run(["git", "init", "-q", "-b", "main"], cwd=root, check=True)
        Repository(root).commit_first(["train.py", "README.md", "autoresearch.toml"], "a night")
        lab = find_lab(root)
        os.environ |= {"ANTHROPIC_API_KEY": "sk-dummy", "ANTHROPIC_BASE_URL": server.url}
        began = time.monotonic()
        try:
            options = LaunchOptions(
                juniors=2, chief="anthropic", junior="anthropic", devices="cpu:0,cpu:1", experiments=wanted
            )
            launch(lab, options, lambda _: None)
            end, memory = watch(lab)
        finally:
            TmuxServer(socket_name_for(root)).stop()
        report(lab, end, model, memory, time.monotonic() - began)
        print(f"requests: {len(server.asked)}, of which the model could not answer: {len(server.faults)}")
        for fault in server.faults[:5]:
            print("  ", fault)


def watch(lab: Lab) -> tuple[LabSnapshot, list[tuple[int, float]]]:
    """Wait for the end; returns the last snapshot, and how much memory the lab's own processes had by then."""
    reader, memory = LabReader(lab, Store(lab.db)), []
    deadline, told = time.monotonic() + LONGEST_S, time.monotonic()
    while time.monotonic() < deadline:
        snapshot = reader.read()
        memory.append((snapshot.counted, own_memory_mb(lab)))
        if time.monotonic() - told > 30:
            told = time.monotonic()
            print(f"{snapshot.counted} experiments, {memory[-1][1]:.0f} MB", file=sys.stderr, flush=True)
        if snapshot.campaign and snapshot.campaign.state in (CampaignState.FINISHED, CampaignState.STOPPED):
            return snapshot, memory
        time.sleep(2)
    sys.exit("it did not end")


def own_memory_mb(lab: Lab) -> float:
    """Resident memory of supervisor and agents, in MB."""
    total = 0
    for process in psutil.process_iter(["cmdline", "memory_info"]):
        words = process.info["cmdline"] or []
        if str(lab.root) in words and {"supervise", "agent"} & set(words):
            total += process.info["memory_info"].rss if process.info["memory_info"] else 0
    return total / 1e6


def report(lab: Lab, end: LabSnapshot, model: Model, memory: list[tuple[int, float]], seconds: float) -> None:
    """What came of it."""
    mine = [e for e in end.experiments if e.agent]
    decided = sorted(e.decided_at or 0.0 for e in mine if e.state is ExperimentState.DECIDED)
    gaps = [after - before for before, after in itertools.pairwise(decided)]
    verdicts = Counter(str(e.verdict) for e in mine)
    lost = [e.id for e in mine if e.commit and not (lab.runs_dir / e.id / "diff.patch").is_file()]
    unread = [e.id for e in mine if e.runs and not (lab.runs_dir / e.id / "result.json").is_file()]
    edits = [len(f.read_text()) for f in lab.runs_dir.glob("*/brief.md")]
    plans = [len(f.read_text()) for f in (lab.state_dir / "plans").glob("*.md")]
    third = max(1, len(memory) // 3)
    early, late = (
        sum(mb for _, mb in part) / len(part) for part in (memory[third : 2 * third], memory[-third:])
    )
    print(f"{len(decided)} verdicts in {seconds / 60:.1f} min: {dict(verdicts)}")
    print(f"edits: {dict(model.kinds)}; faults of the provider: {dict(model.faults)}")
    print(f"longest time without a verdict: {max(gaps):.1f} s; deaths: {sum(a.restarts for a in end.agents)}")
    print(f"without a diff on record: {lost or 'none'}; without a result: {unread or 'none'}")
    print(f"briefs: longest {max(edits)} of {BRIEF_TOKENS * CHARS_PER_TOKEN:.0f} characters", end="; ")
    print(f"plans: {len(plans)}, longest {max(plans, default=0)} of {PLAN_TOKENS * CHARS_PER_TOKEN:.0f}")
    print(f"memory of supervisor and agents: {early:.0f} MB in the second third, {late:.0f} MB in the last")
    juniors = [a for a in end.agents if a.role is Role.JUNIOR]
    cost = sum(a.cost_usd for a in end.agents)
    print(f"cost by the price table: ${cost:.2f}; steps: {[a.spending.steps for a in juniors]}")


if __name__ == "__main__":
    main()
