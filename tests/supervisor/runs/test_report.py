"""What of a run reaches an agent: declared files and lines, or the end of the output."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.lab.config import LabConfig
from supervisor.lab.documents import read_documents
from supervisor.lab.paths import Lab
from supervisor.model.experiment import Experiment, Run
from supervisor.model.states import ExperimentState, RunKind, RunState
from supervisor.runs.report import MOST_BYTES, keep_report, read_report
from supervisor.runs.spec import run_directory
from tests.worlds.labs import make_toy_lab

RUN = Run("e0001.1", "e0001", RunKind.CANDIDATE, 1, 7, RunState.FINISHED, 0.0, device="cpu:0", metric=0.8)
EXPERIMENT = Experiment(
    "e0001", "junior-1", "x", ExperimentState.DECIDED, "e0000", "c", "s", 0.0, runs=(RUN,)
)
LOG = (
    "\n===== smoke =====\nsmoke says hello\n\n===== run of e0001.1, seed 7, budget 5 s (wall) =====\n"
    + "".join(f"step {n}\n" for n in range(100))
    + "case 12: wanted \x1b[31mBern\x1b[0m, got Zurich\nMETRIC accuracy=0.8\n"
)


def lab_with(folder: Path, *report: str) -> Lab:
    made = make_toy_lab(folder / "lab")
    section = LabConfig().lab.model_copy(update={"report": report})
    lab = replace(made, config=made.config.model_copy(update={"lab": section}))
    directory = run_directory(lab, RUN)
    directory.mkdir(parents=True)
    (directory / "run.log").write_text(LOG)
    return lab


def test_without_a_word_it_is_the_end_of_the_output(tmp_path: Path) -> None:
    told = read_report(lab_with(tmp_path), EXPERIMENT)
    assert told.splitlines()[-2:] == ["case 12: wanted Bern, got Zurich", "METRIC accuracy=0.8"]
    assert "step 99" in told
    assert "step 5\n" not in told
    assert "smoke" not in told


def test_patterns_choose_lines_and_globs_choose_files(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, "/^case /", "out/*.json")
    bench = tmp_path / "bench"
    (bench / "out").mkdir(parents=True)
    (bench / "out" / "cases.json").write_text('{"TC-4": "missed"}')
    (bench / "out" / "huge.json").write_text("9" * 3 * MOST_BYTES)
    (bench / "secret").write_text("a key")
    (bench / "out" / "link.json").symlink_to("/etc/hostname")
    os.mkfifo(bench / "out" / "pipe.json")
    keep_report(lab, RUN, bench)
    told = read_report(lab, EXPERIMENT)
    assert told.startswith("case 12: wanted Bern, got Zurich\n\nout/cases.json:\n")
    assert '"TC-4": "missed"' in told
    assert "link.json" not in told
    assert "pipe.json" not in told
    assert "a key" not in told
    assert len(told) < 1.1 * MOST_BYTES
    assert "step 99" not in told


def test_our_own_lab_tells_nothing_unless_it_is_asked(tmp_path: Path) -> None:
    assert not read_report(replace(lab_with(tmp_path), has_referee=True), EXPERIMENT)


@pytest.mark.parametrize("entry", ["/(/", "../outside.txt"])
def test_a_wrong_entry_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"pattern|inside"):
        LabConfig.model_validate_json(f'{{"lab": {{"report": ["{entry}"]}}}}')


def test_documents_are_those_that_are_named_else_what_a_session_left(tmp_path: Path) -> None:
    lab = lab_with(tmp_path)
    (lab.root / "auto").mkdir()
    (lab.root / "auto" / "autoresearch.md").write_text("objective\n")
    (lab.root / "GOALS.md").write_text("goals\n")
    assert read_documents(lab) == (("auto/autoresearch.md", "objective\n"),)
    named = lab.config.lab.model_copy(update={"documents": ("GOALS.md", "gone.md")})
    lab = replace(lab, config=lab.config.model_copy(update={"lab": named}))
    assert read_documents(lab) == (("GOALS.md", "goals\n"),)
