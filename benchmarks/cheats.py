"""Which layer catches which cheat: every edit of the catalogues through guard, audit, sandbox, runner and referee.

Each cheat is handed over as a junior would, runs for real beside another, and is measured again on the sealed
holdout when it looks better than the baseline. `python benchmarks/cheats.py [--budget S] [--only ID …] [--json F]`
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from candidates import make_lab

from cheating.catalogue import cheats
from cheating.edits import Edit
from cheating.foreign import foreign_cheats, make_foreign_lab
from cheating.honest import honest
from sessions.git.repository import Repository
from sessions.runs.contract import RunEnding
from supervisor.analysis.holdout import HoldoutVerdict, compare_on_holdout, pairs_of, pool
from supervisor.campaign.launch import open_campaign
from supervisor.campaign.options import LaunchOptions
from supervisor.drafts.junior_workspace import JuniorWorkspace
from supervisor.lab.paths import Lab, find_lab
from supervisor.model.experiment import Experiment
from supervisor.model.records import Draft
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import ExperimentState, RunKind, RunState, Verdict
from supervisor.policy.run_queue import free_devices
from supervisor.policy.verdicts import failed_fresh_runs
from supervisor.runs.run import collect_run, end_run, start_run
from supervisor.runs.spec import Job
from supervisor.store import runs
from supervisor.store.connection import Store

EDITS = {"cheat": cheats(), "cheat in a foreign lab": foreign_cheats(), "honest edit": honest()}
PROBES = ("repeatability", "independence", "causality", "mutation")
BETTER_SDS = 3.0  # of the difference, from which a first run looks better than the baseline
VERIFYING = 2
PATIENCE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Caught:
    """What became of an edit."""

    id: str
    what: str
    layers: tuple[str, ...]  # in the order in which they see it; () nothing did
    detail: str


class Bench:
    """A lab with a baseline, and the hands that run what is handed over."""

    def __init__(self, lab: Lab, tag: str) -> None:
        self.lab, self.tag = lab, tag
        self.store, self.repository = Store(lab.db), Repository(lab.root)
        self.workspace = JuniorWorkspace(lab, self.store, self.repository, tag, "junior-1")

    def look(self) -> LabSnapshot:
        """The lab as it is."""
        return self.workspace.snapshot()

    def hand_over(self, edit: Edit) -> str:
        """Hand the edit over; returns the experiment's id."""
        identifier = self.workspace.begin(without_hypothesis=True)
        experiment = self.look().experiment(identifier)
        assert identifier is not None and experiment is not None
        file = self.workspace.reset_to_parent(experiment) / self.lab.config.lab.editable[0]
        file.write_text(edit.apply(file.read_text()))
        self.workspace.hand_over(experiment, Draft("", edit.id, edit.what, "", "", 0, 0))
        return identifier

    def work(self, wanted: tuple[str, ...]) -> LabSnapshot:
        """Run all that waits of these experiments."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            snapshot, now = self.look(), time.time()
            mine = [e for e in snapshot.experiments if e.id in wanted]
            waiting = [(e, r) for e in mine for r in e.runs if r.state is RunState.QUEUED]
            running = [r for e in snapshot.experiments for r in e.runs if r.state is RunState.RUNNING]
            if not waiting and not running:
                return snapshot
            collected = [collect_run(self.lab, self.store, self.tag, run, now) for run in running]
            if any(collected):
                continue
            for device, (experiment, run) in zip(free_devices(snapshot), waiting, strict=False):
                assert snapshot.campaign is not None
                job = Job(experiment, run, device)
                start_run(self.lab, self.store, self.repository, snapshot.campaign, job, now)
            time.sleep(0.1)
        raise SystemExit(f"not done after {PATIENCE_S:g} s")

    def verify(self, chosen: tuple[str, ...]) -> LabSnapshot:
        """Score these experiments on the sealed holdout too."""
        for identifier in chosen:
            runs.queue_runs(self.store, self.tag, identifier, RunKind.VERIFICATION, VERIFYING, time.time())
        return self.work(chosen)

    def end(self) -> None:
        """Leave nothing running."""
        for run in (r for e in self.look().experiments for r in e.runs if r.state is RunState.RUNNING):
            end_run(self.lab, run)


def main() -> None:
    """Run the catalogues and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=3.0, help="CPU seconds of a training")
    parser.add_argument("--only", nargs="+", default=[], metavar="ID")
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    wanted = {
        kind: [e for e in edits if not asked.only or e.id in asked.only] for kind, edits in EDITS.items()
    }
    found = measure(make_lab, [*wanted["cheat"], *wanted["honest edit"]], asked.budget)
    found |= measure(make_foreign_lab, wanted["cheat in a foreign lab"], None)
    for kind, edits in wanted.items():
        print_table(kind, [found[e.id] for e in edits], "passed" if kind == "honest edit" else "MISSED")
    if asked.json:
        asked.json.write_text(json.dumps([asdict(each) for each in found.values()], indent=1))


def measure(make: Callable[[Path], None], edits: list[Edit], budget_s: float | None) -> dict[str, Caught]:
    """What becomes of these edits in a lab that `make` makes, by id."""
    if not edits:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "lab"
        make(root)
        lab = find_lab(root)
        options = LaunchOptions(juniors=1, budget_s=budget_s, devices="cpu*2")
        bench = Bench(lab, open_campaign(lab, options, lambda _: None).tag)
        try:
            bench.work(("e0000",))
            return {each.id: each for each in run_all(bench, edits)}
        finally:
            bench.end()


def run_all(bench: Bench, edits: list[Edit]) -> list[Caught]:
    """Hand all over, run what was not refused, verify what looks better."""
    ids = {}
    for number, edit in enumerate(edits, start=1):
        ids[edit.id] = bench.hand_over(edit)
        snapshot = bench.work((ids[edit.id],)) if number % 2 == 0 or number == len(edits) else bench.look()
        if number % 2 == 0:
            snapshot = bench.work(tuple(ids.values()))
        print(f"{number} of {len(edits)} {edit.id}", file=sys.stderr, flush=True)
    snapshot = bench.work(tuple(ids.values()))
    better = tuple(e.id for e in map(snapshot.experiment, ids.values()) if e and looks_better(snapshot, e))
    snapshot = bench.verify(better)
    found = ((edit, snapshot.experiment(ids[edit.id])) for edit in edits)
    return [judge(snapshot, edit, experiment) for edit, experiment in found if experiment]


def looks_better(snapshot: LabSnapshot, experiment: Experiment) -> bool:
    """Whether its first run is better than the baseline by more than the noise."""
    baseline = snapshot.experiment(snapshot.baseline_id)
    assert baseline is not None
    base = [run.metric for run in baseline.runs if run.metric is not None]
    first = next((run.metric for run in experiment.runs if run.metric is not None), None)
    error = statistics.stdev(base) * (1 + 1 / len(base)) ** 0.5
    return first is not None and first < statistics.mean(base) - BETTER_SDS * error


def judge(snapshot: LabSnapshot, edit: Edit, experiment: Experiment) -> Caught:
    """Which layers saw it, earliest first."""
    layers: list[str] = []
    detail = ""
    flags = sorted({flag.rule for flag in experiment.flags if flag.path})
    seen = sorted({flag.rule for flag in experiment.flags if not flag.path})
    if experiment.state is ExperimentState.DECIDED and experiment.verdict is Verdict.REJECTED:
        layers, detail = ["guard"], experiment.reason
    elif flags:
        layers.append(f"flag ({', '.join(flags)})")
    for run in experiment.runs:
        if run.ending is not None and run.ending is not RunEnding.MEASURED and not detail:
            reason = run.reason.removeprefix("smoke run: ")
            probe = run.ending is RunEnding.REJECTED and reason.startswith(PROBES)
            outside = "outside" if run.ending is RunEnding.REJECTED else f"{run.ending}"
            layers.append("probe" if probe else outside)
            detail = run.reason
    if seen:
        layers.append(f"outside ({', '.join(seen)})")
    if any(run.metric is not None for run in experiment.runs) and not failed_fresh_runs(experiment):
        if not looks_better(snapshot, experiment):
            layers.append("no gain")
        elif says_the_holdout(snapshot, experiment) is HoldoutVerdict.REFUTED:
            layers.append("holdout")
    return Caught(edit.id, edit.what, tuple(layers), detail)


def says_the_holdout(snapshot: LabSnapshot, experiment: Experiment) -> HoldoutVerdict:
    """What the sealed holdout says of its gain over the baseline."""
    baseline = snapshot.experiment(snapshot.baseline_id)
    assert baseline is not None
    groups = [pairs for e in snapshot.experiments if (pairs := pairs_of(e))]
    check = compare_on_holdout(pairs_of(experiment), pairs_of(baseline), pool(groups), -1.0)
    return check.verdict if check else HoldoutVerdict.UNKNOWN


def print_table(kind: str, found: list[Caught], otherwise: str) -> None:
    """A Markdown table, and the totals."""
    if not found:
        return
    print(f"| {kind} | what it does | seen by |\n|---|---|---|")
    for each in found:
        layers = ", ".join(each.layers) or f"**{otherwise}**"
        print(f"| {each.id} | {each.what} | {layers} |")
    first = Counter(each.layers[0].partition(" (")[0] if each.layers else otherwise for each in found)
    print("\n" + ", ".join(f"{name} {count}" for name, count in first.most_common()) + f", of {len(found)}\n")
    for each in found:
        if each.detail:
            print(f"{each.id}: {each.detail[:150]}", file=sys.stderr)


if __name__ == "__main__":
    main()
