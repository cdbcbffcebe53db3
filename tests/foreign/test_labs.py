"""Labs of every kind, as they are but for a toml, through `launch --headless`: what their users expect of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest

from supervisor.lab.paths import find_lab
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import CampaignState, Direction, Verdict
from tests.worlds.foreign import auto_files, c_files, karpathy_files, plant, tutorial_files
from tests.worlds.labs import git
from tests.worlds.live import LiveLab, live

EXPERIMENTS = 10
LAUNCH = ("launch", "--headless", "--juniors", "2", "--devices", "cpu:0,cpu:1", "--tag", "t")
pytestmark = pytest.mark.timeout(120)


def toml(editable: str, command: str, metric: str, more: str = "") -> str:
    return f"""\
[lab]
editable = ["{editable}"]
command = "{command}"
setup = ""
budget_s = 1
clock = "wall"
timeout_s = 20
[metric]
name = "{metric}"
{more}"""


# What a scripted mind does: it counts the commits of experiments so far, and takes the number of its list that is due.
MIND = """\
#!/bin/sh
cat > /dev/null
made=$(git for-each-ref refs/autoresearch/exp | wc -l)
set -- {values}
shift "$made"
sed -i "s/^{knob} = [0-9.e*-]*/{knob} = $1/" {file}
echo "{knob} is now $1"
"""


def scripted(folder: Path, knob: str, file: str, values: tuple[str, ...]) -> str:
    mind = folder / "mind.sh"
    mind.write_text(MIND.format(knob=knob, file=file, values=" ".join(values)))
    mind.chmod(0o755)
    return f'[agents]\ndrafts_ahead = 0\njunior = {{ backend = "command", command = "{mind}" }}\n'


def launched(lab: LiveLab, *words: str) -> LabSnapshot:
    before = (
        git(lab.lab.root, "--no-optional-locks", "status", "--porcelain"),
        git(lab.lab.root, "rev-parse", "main"),
    )
    done = lab.cli(*LAUNCH, "--experiments", str(EXPERIMENTS), *words, timeout_s=100)
    assert done.returncode == 0, done.stdout + done.stderr
    after = (
        git(lab.lab.root, "--no-optional-locks", "status", "--porcelain"),
        git(lab.lab.root, "rev-parse", "main"),
    )
    assert after == before, "the person's checkout is untouched"
    return lab.snapshot()


def expect_what_users_expect(lab: LiveLab, end: LabSnapshot, metric: str) -> pandas.DataFrame:
    """Branches by upstream's names, results.tsv in its columns, keeps that are better than what they stand on."""
    root = lab.lab.root
    assert end.campaign is not None and end.campaign.state is CampaignState.FINISHED, end.campaign
    assert end.counted >= EXPERIMENTS
    branches = git(root, "for-each-ref", "--format=%(refname:short)", "refs/heads").split()
    assert {b for b in branches if b != "main"} <= {
        b for b in branches if re.fullmatch(r"autoresearch/t-junior-\d(-\d+)?", b)
    }
    kept = [e for e in end.experiments if e.verdict is Verdict.KEEP]
    better = (
        (lambda new, old: new < old)
        if end.campaign.direction is Direction.LOWER
        else (lambda new, old: new > old)
    )
    for experiment in kept:
        parent = end.experiment(experiment.parent_id)
        assert parent is not None and parent.metric is not None and experiment.metric is not None
        assert better(experiment.metric, parent.metric), experiment
    for agent in end.agents:
        incumbent = end.experiment(agent.incumbent_id)
        if incumbent is not None and incumbent.verdict is Verdict.KEEP:
            assert git(root, "rev-parse", agent.branch).strip() == incumbent.commit
            assert git(root, "log", "--format=%P", "-1", agent.branch).strip() == incumbent.parent_commit
    table = pandas.read_csv(lab.lab.results_tsv, sep="\t")
    assert list(table.columns) == ["commit", metric, "memory_gb", "status", "description"]
    assert table["status"][0] == "keep" and table["description"][0] == "baseline"
    assert set(table["status"]) <= {"keep", "discard", "crash"}
    assert (table["status"] == "keep").sum() == len(kept) + 1
    assert not (root / "results.tsv").exists()
    return table


@pytest.fixture
def karpathy(tmp_path: Path, uv: None) -> Callable[..., Path]:
    """A clone of upstream's layout that runs under the real uv and needs no package."""

    def make(noise: float = 0.0007) -> Path:
        return plant(
            tmp_path / "autoresearch", karpathy_files(budget_s=300, noise=noise, dependencies=(), locked=True)
        )

    return make


def test_an_unchanged_clone_of_upstream_with_the_offline_backend(karpathy: Callable[..., Path]) -> None:
    root = karpathy()
    with live(find_lab(root)) as lab:
        end = launched(lab)
        table = expect_what_users_expect(lab, end, "val_bpb")
    assert 0.9 < table["val_bpb"][0] < 1.1
    assert not (root / ".venv").exists() and not (root / "uv.lock.orig").exists()
    assert (lab.lab.state_dir / "environment" / "bin" / "python").exists()
    assert not any((bench / ".venv").exists() for bench in lab.lab.benches_dir.iterdir())


def test_an_unchanged_clone_of_upstream_with_a_scripted_mind(
    karpathy: Callable[..., Path], tmp_path: Path
) -> None:
    root = karpathy(noise=0.0001)
    values = (
        "0.03",
        "0.08",
        "0.02",
        "0.5",
        "0.021",
        "0.019",
        "0.04",
        "0.025",
        "0.018",
        "0.1",
        "0.015",
        "0.3",
    )
    (root / "autoresearch.toml").write_text(scripted(tmp_path, "MATRIX_LR", "train.py", values))
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "a mind of my own")
    with live(find_lab(root)) as lab:
        end = launched(lab, "--juniors", "1", "--chief", "offline")
        table = expect_what_users_expect(lab, end, "val_bpb")
        commits = git(root, "log", "--format=%s", "autoresearch/t-junior-1", "--not", "main").splitlines()
    told = [(e.title, e.verdict, e.reason) for e in end.experiments]
    ran = [e for e in end.experiments if e.agent and e.metric is not None and e.commit]
    verdicts = {value_in(root, e): e.verdict for e in ran}
    assert len(ran) >= 6, told
    assert verdicts["0.03"] is Verdict.KEEP and verdicts["0.08"] is Verdict.DISCARD, told
    assert verdicts["0.02"] is Verdict.KEEP and verdicts["0.5"] is Verdict.DISCARD, told
    assert len(commits) == sum(verdict is Verdict.KEEP for verdict in verdicts.values())
    assert (table["status"] == "discard").sum() >= 3


def value_in(root: Path, experiment: Experiment) -> str:
    found = re.search(r"^MATRIX_LR = (\S+)", git(root, "show", f"{experiment.commit}:train.py"), re.MULTILINE)
    assert found
    return found[1]


def test_an_auto_lab_with_its_checks(tmp_path: Path) -> None:
    more = '[[metric.also]]\nname = "elapsed_ms"\n[checks]\ncommand = "./.auto/checks.sh"\n'
    files = auto_files() | {
        "autoresearch.toml": toml("src/sorting.py", "./.auto/measure.sh", "comparisons", more)
    }
    with live(find_lab(plant(tmp_path / "sorting", files))) as lab:
        end = launched(lab)
        table = expect_what_users_expect(lab, end, "comparisons")
    assert table["comparisons"].loc[table["status"] != "crash"].min() < table["comparisons"][0]
    measured = [run for e in end.experiments for run in e.runs if run.metric is not None]
    assert all(run.also.keys() == {"elapsed_ms"} for run in measured)


def test_the_tutorial(tmp_path: Path) -> None:
    files = tutorial_files() | {"autoresearch.toml": toml("train.py", "{python} train.py", "mse")}
    with live(find_lab(plant(tmp_path / "sin", files))) as lab:
        end = launched(lab)
        table = expect_what_users_expect(lab, end, "mse")
    assert table["mse"].loc[table["status"] == "keep"].min() < table["mse"][0]


def test_a_c_program_that_is_built_and_run(tmp_path: Path) -> None:
    if not (shutil.which("cc") and shutil.which("make")):
        pytest.skip("no C compiler here: apt install build-essential")
    files = c_files() | {"autoresearch.toml": toml("src/transpose.c", "make -s bench", "cache_misses")}
    source = files["src/transpose.c"].replace("i += BLOCK", "i += ROWS").replace("i + BLOCK", "i + ROWS")
    source = re.sub(r"#define BLOCK 1 ", "#define ROWS 2 /* of it */\n#define BLOCK 2 ", source)
    with live(find_lab(plant(tmp_path / "transpose", files | {"src/transpose.c": source}))) as lab:
        end = launched(lab)
        expect_what_users_expect(lab, end, "cache_misses")
    champion = end.experiment(end.champion_id)
    baseline = end.experiment(end.baseline_id)
    assert champion is not None and baseline is not None and champion.metric and baseline.metric
    assert champion.metric < baseline.metric
