"""Does the whole harness keep what is better and nothing else? Real trainings, through guard, runner and verdict.

Twenty candidates are the incumbent's code under other names and in another order; five carry a gain that is
known: each undoes a part of the textbook start's handicap. `python benchmarks/candidates.py [--budget S]`
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import random
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from sessions.git.repository import Repository
from supervisor.campaign.launch import open_campaign
from supervisor.campaign.options import LaunchOptions
from supervisor.drafts.junior_workspace import JuniorWorkspace
from supervisor.init.make_lab import TEMPLATE_FILES
from supervisor.lab.paths import find_lab
from supervisor.lab.presets import template_path
from supervisor.loop.supervise import TICK_S, Loop
from supervisor.model.experiment import Experiment
from supervisor.model.records import Draft
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import ExperimentState, Role, Verdict, Wanted
from supervisor.store import agents

IDENTICAL = 20
GAINS = (
    ("TOKENS_PER_STEP", "2048"),
    ("TOKENS_PER_STEP", "1024"),
    ("DEPTH", "2"),
    ("UNEMBEDDING_LR", "0.012"),
    ("EMBEDDING_LR", "0.012"),
)
CANVAS = "training/train.py"
PATIENCE_S = 1800.0
KNOB = re.compile(r"^[A-Z][A-Z0-9_]* = .*$")


def renamed_and_reordered(source: str, number: int) -> str:
    """The same program: every function and class has another name, and the knobs stand in another order."""
    dice = random.Random(number)
    names = {
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name != "main"
    }
    for name in names:
        source = re.sub(rf"\b{name}\b", f"{name}_{dice.randrange(10**6)}", source)
    lines = source.split("\n")
    knobs = [index for index, line in enumerate(lines) if KNOB.match(line)]
    for to, line in zip(knobs, dice.sample([lines[index] for index in knobs], len(knobs)), strict=True):
        lines[to] = line
    return "\n".join(lines)


def with_knob(source: str, name: str, value: str) -> str:
    """The program with one knob turned."""
    changed = re.sub(rf"^{name} = \S+", f"{name} = {value}", source, count=1, flags=re.MULTILINE)
    assert changed != source, f"there is no {name} to turn"
    return changed


@dataclass
class Junior:
    """Hands over the next candidate whenever there is room."""

    workspace: JuniorWorkspace
    candidates: list[tuple[str, str]]  # knob and value; ("", number) for an identical one
    mine: list[str] = field(default_factory=list)  # experiments, in order
    open: str | None = None

    def work(self, snapshot: LabSnapshot) -> None:
        """Draft one, if it is time."""
        draft = self.workspace.open_draft(snapshot)
        if draft is None:
            busy = any(e.agent == self.workspace.agent and e.verdict is None for e in snapshot.experiments)
            if busy or not self.candidates:
                return
            self.open = self.workspace.begin(without_hypothesis=True)
            draft = self.workspace.open_draft(self.workspace.snapshot())
        if draft is None:
            return
        if draft.id not in self.mine:
            self.mine.append(draft.id)
            self.now = self.candidates.pop(0)
        name, value = self.now
        file = self.workspace.reset_to_parent(draft) / CANVAS
        source = file.read_text()
        file.write_text(with_knob(source, name, value) if name else renamed_and_reordered(source, int(value)))
        title = f"{name} = {value}" if name else "the same under other names"
        refusal = self.workspace.hand_over(draft, Draft("", title, "", "", "", 0, 0))
        assert refusal is None, refusal


def main() -> None:
    """Run the campaign and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=5.0, help="CPU seconds of a training")
    budget_s = parser.parse_args().budget
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "lab"
        make_lab(root)
        lab = find_lab(root)
        options = LaunchOptions(juniors=2, budget_s=budget_s, devices="cpu*2")
        tag = open_campaign(lab, options, lambda _: None).tag
        loop = Loop(lab)
        names = [agent.name for agent in loop.look().agents if agent.role is Role.JUNIOR]
        everybody = [agent.name for agent in loop.look().agents]
        agents.want_agents(loop.store, tag, everybody, Wanted.STOPPED, time.time())  # we play them here
        plans = ([("", str(number)) for number in range(IDENTICAL)], list(GAINS))
        juniors = [
            Junior(JuniorWorkspace(lab, loop.store, loop.repository, tag, name), plan)
            for name, plan in zip(names, plans, strict=True)
        ]
        began_s = time.monotonic()
        try:
            with contextlib.redirect_stdout(sys.stderr):  # the supervisor tells what happens
                play(loop, juniors, began_s + PATIENCE_S)
        finally:
            loop.end_runs()
        report(loop.look(), *juniors, seconds=time.monotonic() - began_s, budget_s=budget_s)


def make_lab(root: Path) -> None:
    """A clone of the default lab in a repository of its own."""
    files = list(TEMPLATE_FILES)
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((template_path() / name).read_bytes())
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=root, check=True)
    Repository(root).commit_first(files, "the default lab")


def play(loop: Loop, juniors: list[Junior], deadline_s: float) -> None:
    """Tick until every candidate has its verdict."""
    while time.monotonic() < deadline_s:
        snapshot = loop.tick(time.time())
        baseline = snapshot.experiment(snapshot.baseline_id)
        if baseline is not None and baseline.state is ExperimentState.DECIDED:
            for junior in juniors:
                junior.work(snapshot)
        undecided = any(e.verdict is None for e in snapshot.experiments)
        if not undecided and not any(junior.candidates for junior in juniors):
            return
        time.sleep(TICK_S)
    raise SystemExit(f"not done after {PATIENCE_S:g} s")


def report(snapshot: LabSnapshot, same: Junior, better: Junior, *, seconds: float, budget_s: float) -> None:
    """The table."""
    noise = snapshot.noise
    assert noise is not None
    print(f"{budget_s:g} CPU s a training, {seconds / 60:.0f} min in all, noise SD {noise.sd:.4f}\n")
    print(f"{'candidate':<34}{'verdict':>10}{'runs':>6}{'gain':>10}  interval")
    for one in of(snapshot, better):
        interval = f"{one.gain_low:+.4f} … {one.gain_high:+.4f}" if one.gain_low is not None else ""
        gain = f"{one.gain:+.4f}" if one.gain is not None else "–"
        print(f"{one.title:<34}{one.verdict!s:>10}{len(one.deciding_runs):6}{gain:>10}  {interval}")
    identical = of(snapshot, same)
    kept, known = kept_of(identical), kept_of(of(snapshot, better))
    runs = sum(len(one.deciding_runs) for one in identical) / len(identical)
    print(f"\nidentical, renamed and reordered: {kept} of {len(identical)} kept, {runs:.2f} runs each")
    print(f"with a known gain: {known} of {len(of(snapshot, better))} kept")


def of(snapshot: LabSnapshot, junior: Junior) -> list[Experiment]:
    """The junior's experiments, in order."""
    found = (snapshot.experiment(name) for name in junior.mine)
    return [one for one in found if one is not None]


def kept_of(experiments: list[Experiment]) -> int:
    """How many were kept."""
    return sum(one.verdict is Verdict.KEEP for one in experiments)


if __name__ == "__main__":
    main()
