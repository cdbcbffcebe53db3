"""The canary: an editable file is broken on purpose, and a campaign whose command does not mind does not start."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sessions.git.repository import Repository
from sessions.runs.contract import RunEnding, RunOutcome
from supervisor.analysis.sequential_test import DecideRules
from supervisor.campaign.canaries import broken, entries_of, make_canaries
from supervisor.campaign.launch import open_campaign
from supervisor.campaign.options import LaunchOptions
from supervisor.init.trial_run import trial
from supervisor.lab.config import LabConfig, LabSection
from supervisor.lab.paths import Lab
from supervisor.model.actions import Judge, QueueRun, SettleBaseline, StartRun
from supervisor.model.experiment import Run
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import CampaignState, RunKind, Verdict
from supervisor.policy.canary import is_same
from supervisor.policy.next_actions import next_actions
from supervisor.recognition.finding import Finding, Kind
from supervisor.runs.spec import run_directory
from supervisor.snapshot_reader import read_snapshot
from supervisor.store import campaigns, runs
from supervisor.store.connection import Store
from tests.worlds.labs import git, make_toy_lab

PY = sys.executable
READS = "import sys, pathlib; "
LANGUAGES = {
    "a.py": ("print(1)\n", [PY, "a.py"]),
    "pkg/a.py": ("", [PY, "-c", "import pkg.a"]),
    "run.sh": ("echo 1\n", ["sh", "run.sh"]),
    "sourced.bash": ("N=1\n", ["bash", "-c", ". ./sourced.bash; echo $N"]),
    "executed": ("#!/bin/sh\necho 1\n", ["./executed"]),
    "script": (f"#!{PY}\nprint(1)\n", ["./script"]),
    "Makefile": ("all:\n\ttrue\n", ["make", "-s"]),
    "a.c": ("int main(void) { return 0; }\n", ["cc", "-fsyntax-only", "a.c"]),
    "a.cpp": ("int main() { return 0; }\n", ["c++", "-fsyntax-only", "a.cpp"]),
    "a.js": ("console.log(1)\n", ["node", "a.js"]),
    "a.mjs": ("console.log(1)\n", ["node", "a.mjs"]),
    "a.rs": ("fn main() {}\n", ["rustc", "--emit=metadata", "a.rs"]),
    "a.go": ("package main\nfunc main() {}\n", ["gofmt", "-l", "a.go"]),
    "a.pl": ("print 1;\n", ["perl", "a.pl"]),
    "a.json": ("{}", [PY, "-c", f"{READS}import json; json.load(open('a.json'))"]),
    "a.toml": ("a = 1\n", [PY, "-c", f"{READS}import tomllib; tomllib.load(open('a.toml', 'rb'))"]),
    "a.yaml": ("a: 1\n", [PY, "-c", "import yaml; yaml.safe_load(open('a.yaml', 'rb'))"]),
    "a.ini": ("[a]\nb = 1\n", [PY, "-c", "import configparser; configparser.ConfigParser().read('a.ini')"]),
    "prompt.md": ("Be brief.\n", [PY, "-X", "utf8", "-c", f"{READS}pathlib.Path('prompt.md').read_text()"]),
    "prompt.txt": ("Be brief.\n", [PY, "-X", "utf8", "-c", f"{READS}pathlib.Path('prompt.txt').read_text()"]),
}


@pytest.mark.parametrize("path", LANGUAGES)
def test_a_broken_file_fails_in_every_language(tmp_path: Path, path: str) -> None:
    content, command = LANGUAGES[path]
    if not (command[0].startswith("./") or shutil.which(command[0])):
        pytest.skip(f"there is no {command[0]} here")
    file = tmp_path / path
    file.parent.mkdir(exist_ok=True)
    for bytes_of_file, fails in ((content.encode(), False), (broken(path, content.encode()), True)):
        file.write_bytes(bytes_of_file)
        file.chmod(0o755)
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=30, check=False)
        if b"No module named 'yaml'" in done.stderr or b"rustup" in done.stderr:
            pytest.skip(f"{command[0]} does not work here")
        assert bool(done.returncode) == fails, (done, fails)


def test_each_entry_is_broken_by_itself_and_whole(tmp_path: Path) -> None:
    section = LabSection(
        editable=("a.py", "src/b.py", "src/deep/c.py", "prompts/d.md"), new_files=("src/**", "*.txt")
    )
    assert entries_of(LabConfig(lab=section)) == {
        "a.py": ("a.py",),
        "src/**": ("src/b.py", "src/deep/c.py"),
        "prompts/d.md": ("prompts/d.md",),
    }
    lab = make_toy_lab(tmp_path / "lab")
    repository = Repository(lab.root)
    config = LabConfig(lab=LabSection(editable=("train.py", "README.md")))
    first, second = make_canaries(repository, "main", config, "t")
    assert [c.path for c in repository.changed_paths("main", first.commit)] == ["train.py"]
    assert [c.path for c in repository.changed_paths("main", second.commit)] == ["README.md"]
    assert git(lab.root, "status", "--porcelain") == ""
    assert make_canaries(repository, "main", LabConfig(lab=LabSection(canary=False)), "t2") == ()


FILES = {
    "solution.py": "COST = 4.0\n",
    "measure.py": "from solution import COST\nprint(f'cost: {COST}')\n",
    "frozen/solution.py": "COST = 4.0\n",
    "measure_frozen.py": "import sys\nsys.path.insert(0, 'frozen')\nimport measure\n",
    "fallback.py": "try:\n    from solution import COST\nexcept Exception:\n    COST = 4.0\nprint(f'cost: {COST}')\n",
    "built": "#!/bin/sh\necho cost: 4.0\n",
    "Makefile": "all: built\n\t./built\nbuilt: \n\tfalse\n",
    "results.json": '{"cost": 4.0}\n',
    "cached.py": (
        "import json, os\n"
        "if os.path.exists('results.json'):\n    print('cost:', json.load(open('results.json'))['cost'])\n"
        "else:\n    import measure\n"
    ),
    "config.json": '{"module": "frozen.solution"}\n',
    "configured.py": (
        "import importlib, json\nmodule = importlib.import_module(json.load(open('config.json'))['module'])\n"
        "print(f'cost: {module.COST}')\n"
    ),
    "zipped.py": (
        "import zipfile, sys\nwith zipfile.ZipFile('packed.zip', 'w') as packed:\n"
        "    packed.writestr('solution.py', 'COST = 4.0')\n"
        "sys.path.insert(0, 'packed.zip')\nfrom solution import COST\nprint(f'cost: {COST}')\n"
    ),
    ".gitignore": ".venv\n",
}
WAYS = {
    "a copy under another name": "{python} -c 'import frozen.solution as s; print(\"cost:\", s.COST)'",
    "a module of the same name goes first": "{python} measure_frozen.py",
    "an installed copy, with PYTHONPATH ignored": "{python} -I -c 'from solution import COST; print(\"cost:\", COST)'",
    "a program that was built before": "./built",
    "a build that finds nothing to do": "make -s",
    "a figure from a cache": "{python} cached.py",
    "a configuration that names another file": "{python} configured.py",
    "a fallback for what does not import": "{python} fallback.py",
    "an archive that was packed before": "{python} zipped.py",
    "a figure that is none": "echo cost: 4.0",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("canary") / "lab"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "built").chmod(0o755)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "as it stands")
    subprocess.run([PY, "-m", "venv", "--without-pip", str(folder / ".venv")], check=True)
    site_packages = next((folder / ".venv").glob("lib/python*/site-packages"))
    shutil.copy(folder / "solution.py", site_packages)
    return folder


def refusal(root: Path, command: str) -> str:
    section = LabSection(editable=("solution.py",), command=command, setup="", timeout_s=20)
    with trial(root, "main", LabConfig(lab=section)) as made:
        return made.canary(Finding(Kind.SCRIPT, 1.0, metric="cost"), (4.0, 4.0, 4.0), lambda _: None)


@pytest.mark.parametrize("way", WAYS)
def test_what_runs_another_file_is_refused(root: Path, way: str) -> None:
    assert refusal(root, WAYS[way]).startswith("solution.py is not what runs: with it broken on purpose")


def test_what_runs_the_edit_is_not_refused(root: Path) -> None:
    assert refusal(root, "{python} measure.py") == ""


@pytest.mark.parametrize(
    ("metric", "baseline", "same"),
    [
        (4.0, (4.0, 4.0, 4.0), True),
        (4.000001, (4.0, 4.0, 4.0), False),  # it repeats exactly: any difference is one
        (4.02, (4.0, 4.01, 3.99), True),
        (0.0, (0.62, 0.58, 0.66), False),
        (1.004, (1.0, 1.0001, 1.0), True),  # a clock that happened to be steady
        (1.0, (), False),
    ],
)
def test_when_a_figure_is_the_same(metric: float, baseline: tuple[float, ...], *, same: bool) -> None:
    assert is_same(metric, baseline) is same


class Steps:
    """A campaign whose runs end as the test says, one action of the policy after the other."""

    def __init__(self, lab: Lab) -> None:
        self.tag = open_campaign(lab, LaunchOptions(juniors=1, devices="cpu:0"), lambda _: None).tag
        self.lab, self.store = lab, Store(lab.db)

    def look(self) -> LabSnapshot:
        return read_snapshot(self.lab, self.store, 1.0)

    def next_run(self) -> Run:
        (start,) = (a for a in next_actions(self.look(), DecideRules()) if isinstance(a, StartRun))
        assert runs.take_lease(self.store, start.run_id, start.device_id, 1.0)
        run = self.look().run(start.run_id)
        assert run is not None
        return run

    def end(self, run: Run, metric: float | None) -> None:
        ending = RunEnding.CRASHED if metric is None else RunEnding.MEASURED
        outcome = RunOutcome(run.id, ending, "SyntaxError", metric, 0.0, 1.0, 1.0, 1.0, 1.0, None, 1.0)
        assert runs.finish_run(self.store, self.tag, run.id, outcome)

    def verdict(self) -> Judge | SettleBaseline:
        (action,) = (a for a in next_actions(self.look(), DecideRules()) if not isinstance(a, QueueRun))
        assert isinstance(action, Judge | SettleBaseline)
        return action


def test_it_runs_first_and_the_baseline_is_settled_after_it(tmp_path: Path) -> None:
    lab = make_toy_lab(tmp_path / "lab")
    steps = Steps(lab)
    canary = steps.next_run()
    assert (canary.kind, canary.broken) == (RunKind.CANARY, "train.py")
    assert run_directory(lab, canary).name == "canary-1"
    assert steps.look().running_runs() == (canary,), "who collects, sees it"
    runs.lose_run(steps.store, steps.tag, canary.id, 1.0, "its runner was killed", capped=True)
    canary = steps.next_run()
    assert canary.attempt == 2 and canary.kind is RunKind.CANARY
    steps.end(canary, None)
    for metric in (4.0, 4.01, 3.99):
        steps.end(steps.next_run(), metric)
    settled = steps.verdict()
    assert isinstance(settled, SettleBaseline)
    campaigns.decide_baseline(steps.store, steps.tag, settled.experiment_id, 1.0, settled.text)
    baseline = steps.look().experiment(settled.experiment_id)
    assert baseline is not None and [run.kind for run in baseline.runs] == [RunKind.BASELINE] * 3
    campaigns.set_campaign_state(steps.store, steps.tag, CampaignState.FINISHED, "enough", 1.0)
    open_campaign(lab, LaunchOptions(tag="next", juniors=1, devices="cpu:0"), lambda _: None)
    assert steps.look().canaries == (), "what is known of this base in this setting is not tried again"


def test_a_canary_that_measures_the_same_ends_the_campaign(tmp_path: Path) -> None:
    steps = Steps(make_toy_lab(tmp_path / "lab"))
    steps.end(steps.next_run(), 4.0)
    for metric in (4.0, 4.01, 3.99):
        steps.end(steps.next_run(), metric)
    refused = steps.verdict()
    assert isinstance(refused, Judge) and refused.judgement.verdict is Verdict.REJECTED
    assert refused.judgement.reason.startswith("train.py is not what runs")
