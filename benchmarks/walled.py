"""What becomes of edits at the wall: guard and audit's rules, then one real, confined run each on a small text.

`python benchmarks/walled.py [--only ID …] [--honest] [--seconds 1]` prints a Markdown table. No verdicts and no
repeats, so it takes 10 to 20 s an edit; `benchmarks/cheats.py` plays the same edits through a whole lab.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from cheating.catalogue import cheats
from cheating.edits import Edit
from cheating.honest import honest
from sessions.runs.contract import Expected, RunEnding, RunOutcome, read_outcome
from sessions.runs.runner import Runner
from supervisor.audit.audit import audit
from supervisor.audit.source_growth import find_data
from supervisor.lab.config import Budget
from supervisor.lab.paths import Lab, find_lab
from supervisor.lab.presets import CANVAS, template_path
from supervisor.lab.referee_copy import write_referee
from supervisor.model.states import Clock
from supervisor.runs.spec import DevicePlace, spec_on_bench

BASELINES = 3
BETTER_SDS = 3.0
KNOBS = {"VOCAB_SIZE": "512", "EVAL_TOKENS": "2**13"}


class Place:
    """A lab of our layout on a small text, its prepared data, and a bench."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self._seconds, self._number = folder, seconds, 0
        root, texts = folder / "lab", folder / "texts"
        (root / "training").mkdir(parents=True)
        texts.mkdir()
        for file in sorted(Path(os.__file__).parent.glob("*.py"))[:80]:
            (texts / file.name).write_bytes(file.read_bytes()[:12000])
        lines = (template_path() / "prepare.py").read_text().splitlines()
        for name, value in {**KNOBS, "DATA_SOURCE": repr(str(texts))}.items():
            at = next(n for n, line in enumerate(lines) if line.startswith(f"{name} = "))
            lines[at] = f"{name} = {value}"
        (root / "prepare.py").write_text("\n".join(lines) + "\n")
        (root / "program.md").write_text("Lower val_bpb.\n")
        for name in ("train.py", "corpus.py"):
            shutil.copyfile(template_path() / "training" / name, root / "training" / name)
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
        subprocess.run([sys.executable, "prepare.py"], cwd=root, check=True, stderr=subprocess.DEVNULL)
        self.lab: Lab = find_lab(root)
        self.base = (root / CANVAS).read_text()
        self._referee = write_referee(folder / "referee", {"prepare.py": (root / "prepare.py").read_text()})

    def run(self, source: str, expected: Expected) -> RunOutcome:
        """One run of this canvas, confined, from a bench of its own."""
        self._number += 1
        bench, directory = self.folder / f"bench-{self._number}", self.folder / f"run-{self._number}"
        shutil.copytree(self.lab.root / "training", bench / "training")
        (bench / CANVAS).write_text(source)
        budget = Budget(self._seconds, Clock.CPU, 150.0)
        place = DevicePlace("cpu:0", (self._number % (os.cpu_count() or 1),), {})
        run_id = f"e{self._number:04}.1"
        spec = spec_on_bench(
            self.lab, run_id, directory, bench, self._referee, place, 7 + self._number, budget
        )
        child = os.fork()
        if child == 0:  # a runner is a process of its own, and adopts what its run leaves
            try:
                Runner(dataclasses.replace(spec, smoke=False, expected=expected)).make()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        outcome = read_outcome(directory)
        assert outcome is not None, "the runner was lost"
        return outcome


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="ID")
    parser.add_argument("--honest", action="store_true")
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU seconds of a training")
    asked = parser.parse_args()
    edits = [e for e in (honest() if asked.honest else cheats()) if not asked.only or e.id in asked.only]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AUTORESEARCH_CACHE"] = f"{folder}/cache"
        place = Place(Path(folder), asked.seconds)
        outcomes = [place.run(place.base, Expected()) for _ in range(BASELINES)]
        scores = [outcome.metric for outcome in outcomes if outcome.metric is not None]
        usual = Expected(
            starting_cpu_s=statistics.median(o.starting_cpu_s or 0.0 for o in outcomes),
            evaluating_cpu_s=statistics.median(o.evaluating_cpu_s or 0.0 for o in outcomes),
        )
        limit = statistics.mean(scores) - BETTER_SDS * statistics.stdev(scores) * (1 + 1 / len(scores)) ** 0.5
        print(f"baseline {statistics.mean(scores):.4f}, better below {limit:.4f}", file=sys.stderr)
        print("| edit | what it does | what came of it |\n|---|---|---|", flush=True)
        for edit in edits:
            print(
                f"| {edit.id} | {edit.what} | {', '.join(came_of(place, edit, usual, limit))} |", flush=True
            )


def came_of(place: Place, edit: Edit, usual: Expected, limit: float) -> list[str]:
    """What the layers said, in their order."""
    base, after = {CANVAS: place.base}, {CANVAS: edit.apply(place.base)}
    if why := find_data(base, base, after, place.lab.config.audit.source_kb):
        return [f"refused: {why}"]
    flags = audit(base, after, has_referee=True, metric="val_bpb", has_wall=True)
    said = [f"flag ({', '.join(sorted({flag.rule for flag in flags}))})"] if flags else []
    outcome = place.run(after[CANVAS], usual)
    if outcome.ending is not RunEnding.MEASURED:
        return [*said, f"{outcome.ending}: {outcome.reason[:90]}".replace("|", "/")]
    assert outcome.metric is not None
    return [*said, "no gain" if outcome.metric >= limit else f"**GAIN** {limit - outcome.metric:.3f}"]


if __name__ == "__main__":
    main()
