"""Editing and reflecting: the real file is changed, and nothing else."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from roles.backend import Backend, BackendError, EditResult
from roles.backends.offline import OfflineBackend
from supervisor.model.states import Verdict
from tests.roles.telling import Told

Past = Any  # of conftest
Make = Any
PATH = "training/train.py"


quiet = Told()


def test_it_is_a_backend() -> None:
    backend: Backend = OfflineBackend()
    assert backend.name == "offline"


def test_a_hypothesis_becomes_exactly_its_diff(past: Past, make: Make, tmp_path: Path) -> None:
    edit = make.knob("TOKENS_PER_STEP", 4096, 2048)
    task = past.task(tmp_path, make.hypothesis("halve it", make.json_of(edit)))
    (tmp_path / PATH).chmod(0o755)
    told = Told()
    outcome = OfflineBackend().edit(task, told)
    assert outcome.result is EditResult.EDITED
    assert outcome.title == "Halve TOKENS_PER_STEP (4096 → 2048)"
    assert make.edit_of(outcome.edit) == edit
    text = (tmp_path / PATH).read_text()
    assert text == past.text.replace("TOKENS_PER_STEP = 4096 ", "TOKENS_PER_STEP = 2048 ")
    assert os.access(tmp_path / PATH, os.X_OK)
    assert [file.name for file in (tmp_path / "training").iterdir()] == ["train.py"]
    assert told.said[0] == outcome.expectation


def test_the_expectation_is_said_before_the_file_changes(past: Past, make: Make, tmp_path: Path) -> None:
    past.add(make.knob("TOKENS_PER_STEP", 4096, 2048), 0.12, Verdict.KEEP)
    task = past.task(tmp_path, make.hypothesis(edit=make.json_of(make.knob("TOKENS_PER_STEP", 2048, 1024))))
    before = (tmp_path / PATH).read_text()
    unchanged: list[bool] = []
    told = Told(at_each=lambda: unchanged.append((tmp_path / PATH).read_text() == before))
    OfflineBackend().edit(task, told)
    assert unchanged[0] and not unchanged[-1]
    assert "val_bpb should get better by" in told.said[0] and "e0001" in told.said[0]


def test_words_alone_will_do_when_it_can_read_them(past: Past, make: Make, tmp_path: Path) -> None:
    outcome = OfflineBackend().edit(past.task(tmp_path, make.hypothesis("set DEPTH to 2")), quiet)
    assert outcome.result is EditResult.EDITED
    assert "\nDEPTH = 2 " in (tmp_path / PATH).read_text()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("add a mixture of experts", "reads only knobs"),
        ("DEPTH = 0", "breaks the canvas's own rule: DEPTH >= 1"),
        ("N_HEAD = 5", "breaks the canvas's own rule"),
    ],
)
def test_what_it_cannot_do_it_says_and_leaves(
    past: Past, make: Make, tmp_path: Path, change: str, why: str
) -> None:
    outcome = OfflineBackend().edit(past.task(tmp_path, make.hypothesis(change)), quiet)
    assert outcome.result is EditResult.NOT_APPLICABLE
    assert "a search, not a model" in outcome.explanation and why in outcome.explanation
    assert (tmp_path / PATH).read_text() == past.text


def test_an_edit_that_is_in_place_is_not_applicable(past: Past, make: Make, tmp_path: Path) -> None:
    edit = make.structural("squared-relu")
    past.add(edit, 0.1, Verdict.KEEP)
    outcome = OfflineBackend().edit(past.task(tmp_path, make.hypothesis(edit=make.json_of(edit))), quiet)
    assert outcome.result is EditResult.NOT_APPLICABLE


def test_a_failed_edit_is_not_made_again(past: Past, make: Make, tmp_path: Path) -> None:
    task = past.task(tmp_path, make.hypothesis("DEPTH = 2"), repair="it does not parse")
    outcome = OfflineBackend().edit(task, quiet)
    assert outcome.result is EditResult.NOT_APPLICABLE
    assert "it does not parse" in outcome.explanation


def test_with_an_empty_plan_it_forms_its_own_idea(past: Past, make: Make, tmp_path: Path) -> None:
    outcomes = set()
    for seed in (1, 1, 2, 3):
        worktree = tmp_path / str(len(list(tmp_path.iterdir())))
        outcome = OfflineBackend().edit(past.task(worktree, None, seed=seed), quiet)
        assert outcome.result is EditResult.EDITED
        assert (worktree / PATH).read_text() == make.edit_of(outcome.edit).apply(past.text)
        outcomes.add(outcome.edit)
    assert 1 < len(outcomes) < 4


def test_it_writes_only_an_editable_file_of_the_worktree(past: Past, make: Make, tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text(past.text)
    worktree = tmp_path / "worktree"
    (worktree / "training").mkdir(parents=True)
    (worktree / PATH).symlink_to(outside)
    with pytest.raises(BackendError):
        OfflineBackend().edit(past.task(worktree, make.hypothesis("DEPTH = 2")), quiet)
    assert outside.read_text() == past.text


def test_foreign_newlines_survive(past: Past, make: Make, tmp_path: Path) -> None:
    task = past.task(tmp_path, make.hypothesis("DEPTH = 2"))
    (tmp_path / PATH).write_bytes(past.text.replace("\n", "\r\n").encode())
    assert OfflineBackend().edit(task, quiet).result is EditResult.EDITED
    expected = past.text.replace("\nDEPTH = 4", "\nDEPTH = 2").replace("\n", "\r\n").encode()
    assert (tmp_path / PATH).read_bytes() == expected


def test_a_canvas_without_anything_to_step_is_a_thought(past: Past, make: Make, tmp_path: Path) -> None:
    task = past.task(tmp_path, make.hypothesis("DEPTH = 2"))
    (tmp_path / PATH).write_text("print('hello')\n")
    outcome = OfflineBackend().edit(task, quiet)
    assert outcome.result is EditResult.THOUGHT
    assert "offline cannot work on this canvas" in outcome.explanation


@pytest.mark.parametrize(
    ("verdict", "gain", "words", "noted"),
    [
        (Verdict.KEEP, 0.12, "15.0 noise SDs (keep)", True),
        (Verdict.DISCARD, -0.05, "worse by 0.0500", True),
        (Verdict.DISCARD, 0.004, "nothing that the noise could not do", False),
        (Verdict.CRASH, None, "Seen: crash, why", True),
        (Verdict.REJECTED, None, "rejected", True),
    ],
)
def test_reflections_hold_the_result_against_the_noise(
    past: Past, make: Make, tmp_path: Path, verdict: Verdict, gain: float | None, words: str, noted: bool
) -> None:
    id = past.add(make.knob("DEPTH", 4, 2), gain, verdict)
    reflection = OfflineBackend().reflect(past.task(tmp_path, None), past.experiment(id), quiet)
    assert words in reflection.text
    assert "Expected: up" in reflection.text
    assert bool(reflection.note_title and reflection.note_text) == noted


def test_a_reflection_without_known_noise_claims_nothing(past: Past, make: Make, tmp_path: Path) -> None:
    id = past.add(make.knob("DEPTH", 4, 2), 0.12, Verdict.DISCARD)
    task = dataclasses.replace(past.task(tmp_path, None), noise_sd=None)
    reflection = OfflineBackend().reflect(task, past.experiment(id), quiet)
    assert "noise not known yet" in reflection.text and not reflection.note_title
