"""Labs whose agents have to be told: a prompt with failing cases, from docs/labs.md as its user would start it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from supervisor.lab.paths import find_lab
from supervisor.model.states import Verdict
from tests.worlds.labs_page import examples, make
from tests.worlds.live import live
from tui.commands.command_line import run_command_line

pytestmark = pytest.mark.timeout(120)
# It reads in its brief what fails, and says to the prompt what mends that kind.
MIND = """\
#!/bin/sh
brief=$(cat)
case "$brief" in
  *"FAILED TC-2 (case)"*) echo "Upper or lower case does not matter." >> prompt.txt ;;
  *"FAILED TC-4 (absent)"*) echo "Say none where there is no city." >> prompt.txt ;;
  *) echo "Be brief." >> prompt.txt ;;
esac
"""


def test_what_fails_reaches_the_next_brief_and_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = next(each for each in examples() if each.title == "A prompt that a judge scores")
    root = make(example, tmp_path)
    monkeypatch.chdir(root)
    assert run_command_line(shlex.split(example.commands[-1])[1:]) == 0
    mind = tmp_path / "mind"
    mind.write_text(MIND)
    mind.chmod(0o755)
    toml = root / "autoresearch.toml"
    text = toml.read_text().replace("[metric]", 'report = ["/^FAILED /"]\n\n[metric]', 1)
    own = f'juniors = 1\ndrafts_ahead = 0\njunior = {{ backend = "command", command = "{mind}" }}'
    toml.write_text(text.replace("juniors = 2", own, 1))
    with live(find_lab(root)) as lab:
        done = lab.cli("launch", "--headless", "--experiments", "3", "--tag", "t")
        assert done.returncode == 0, done.stdout + done.stderr
        end = lab.snapshot()
        briefs = [(lab.lab.runs_dir / e.id / "brief.md").read_text() for e in end.experiments if e.agent]
    kept = [e.metric for e in end.experiments if e.verdict is Verdict.KEEP]
    assert kept == [0.75, 1.0], done.stdout
    told = [
        brief for brief in briefs if "FAILED TC" in brief
    ]  # one may be drafted before the baseline has run
    assert "FAILED TC-3 (case): 'BASEL in the rain'" in told[0]
    assert "FAILED TC-2" not in told[1]
    assert "FAILED TC-4" in told[1]
    assert all("Never touch `judge.py`" in brief and "Budget:" not in brief for brief in briefs)
