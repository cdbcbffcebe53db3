"""`[lab] smoke` of a lab without our referee: seconds before the run, and a failure there saves the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessions.runs.contract import LOG_FILE
from supervisor.init.lab_toml import lab_toml
from supervisor.lab.config import LabConfig, LabSection, guarantees_of
from supervisor.lab.paths import Lab, find_lab
from supervisor.model.experiment import Experiment
from supervisor.model.states import Verdict
from supervisor.recognition.finding import Finding, Kind
from supervisor.runs.spec import run_directory
from tests.worlds.foreign import plant
from tests.worlds.live import live

TRAIN = """\
import sys

RATE = 3
print("trying it")
assert RATE < 5, f"a rate of {RATE} diverges"
if "--smoke" in sys.argv:
    print("loss: 0.001")
    sys.exit()
print("loss:", abs(RATE - 2) + 1.0)
"""
TOML = """\
[lab]
editable = ["train.py"]
command = "{{python}} train.py"
smoke = "{{python}} train.py --smoke"
setup = ""
clock = "wall"
timeout_s = 20
[metric]
name = "loss"
[agents]
drafts_ahead = 0
repairs = 0
junior = {{ backend = "command", command = "{script}" }}
"""
# The first edit is a good one, the second diverges.
EDIT = """\
#!/bin/sh
cat > /dev/null
made=$(git for-each-ref refs/autoresearch/exp | wc -l)
set -- 2 9 2.5 8 2.25 7
shift "$made"
sed -i "s/^RATE = .*/RATE = $1/" train.py
echo "RATE is now $1"
"""


def log_of(lab: Lab, experiment: Experiment) -> str:
    return (run_directory(lab, experiment.runs[0]) / LOG_FILE).read_text()


@pytest.mark.timeout(180)
def test_a_failing_smoke_run_is_a_crash_and_no_run_is_made(tmp_path: Path) -> None:
    script = tmp_path / "edit.sh"
    script.write_text(EDIT)
    script.chmod(0o755)
    root = plant(tmp_path / "lab", {"train.py": TRAIN, "autoresearch.toml": TOML.format(script=script)})
    with live(find_lab(root)) as lab:
        words = ("--headless", "--juniors", "1", "--devices", "cpu:0", "--tag", "t", "--experiments", "2")
        done = lab.cli("launch", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        rows = lab.snapshot()
    baseline, better, broken = rows.experiments[:3]
    assert (baseline.metric, better.metric) == (2.0, 1.0), "what a smoke run prints is no score"
    assert broken.verdict is Verdict.CRASH and broken.metric is None
    assert broken.reason.startswith("smoke run: AssertionError: a rate of 9 diverges"), broken.reason
    assert log_of(lab.lab, better).count("trying it") == 2
    assert log_of(lab.lab, broken).count("trying it") == 1, "the expensive run was made all the same"
    assert "no smoke run" not in (rows.guarantees.line if rows.guarantees else "")


def test_what_a_lab_with_a_smoke_run_no_longer_lacks() -> None:
    named = LabConfig(lab=LabSection(smoke="{python} train.py --smoke"))
    assert "no smoke run" in guarantees_of(LabConfig(), has_referee=False).line
    assert "no smoke run" not in guarantees_of(named, has_referee=False).line


def test_the_written_file_has_a_line_for_it() -> None:
    assert '\n# smoke  = ""' in lab_toml(Finding(Kind.ASKED, 1.0, editable=("train.py",), command="true"))
