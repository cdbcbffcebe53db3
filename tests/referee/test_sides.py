"""The referee's two sides: what the canvas calls sees no tokens, targets or clock, and no run makes data."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sessions.git.repository import Repository
from supervisor.audit.audit import audit
from supervisor.audit.rules import Ground
from supervisor.lab.referee_copy import hash_referee, referee_files
from tests.referee.conftest import CORPUS, PREPARE
from tests.worlds.labs import git

CANVAS = "training/train.py"
CALLED_BY_THE_CANVAS = set(
    "finish Batches batches watch warm_up evaluate_bpb score logits_of state_hash synchronize".split()
)
KEPT_FROM_IT = set("data train val token_bytes _token_bytes windows clock began_s receive_holdout".split())


def test_what_the_canvas_calls_touches_no_tokens_targets_or_clock() -> None:
    tree = ast.parse(PREPARE.read_text())
    sides = {
        node.name: {
            each.attr
            for each in ast.walk(node)
            if isinstance(each, ast.Attribute) and not isinstance(each.value, ast.Call)
        }
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    assert sides.keys() >= CALLED_BY_THE_CANVAS
    assert {name: sides[name] & KEPT_FROM_IT for name in CALLED_BY_THE_CANVAS} == {
        name: set() for name in CALLED_BY_THE_CANVAS
    }
    assert all(sides[name] & KEPT_FROM_IT for name in ("Run", "Training", "Evaluation"))


def test_the_referee_is_read_in_one_sitting() -> None:
    assert PREPARE.read_text().count("\n") <= 750


def test_a_run_imports_nothing_that_makes_data(run_canvas: Callable[..., Any]) -> None:
    makers = "{'corpus', 'tokenizers', 'pyarrow', 'huggingface_hub'}"  # torch brings tqdm
    ended = run_canvas(f"next(prepare.batches(1)); print({makers} & set(sys.modules))")
    assert ended.stdout.splitlines()[-1] == "set()", ended.stderr


def test_a_run_without_data_says_what_makes_it_and_makes_none(
    run_canvas: Callable[..., Any], assignment: dict[str, Any], tmp_path: Path, corpus: Path
) -> None:
    ended = run_canvas("next(prepare.batches(1))", assignment, AUTORESEARCH_CACHE=str(tmp_path / "empty"))
    (crash,) = ended.of("crash")
    assert crash["reason"].startswith(
        f"no data: nothing is prepared for '{corpus}' in {tmp_path}/empty; run `"
    )
    assert crash["reason"].endswith(f" prepare.py --source {corpus} --cache {tmp_path}/empty`")
    assert not (tmp_path / "empty").exists()


def test_the_command_that_it_says_is_plain_for_the_labs_own_source(
    referee: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AUTORESEARCH_SOURCE", "AUTORESEARCH_CACHE"):
        monkeypatch.delenv(name)
    with pytest.raises(
        referee.DataError, match=r"nothing is prepared for 'python' .*python[\d.]* prepare.py`$"
    ):
        referee.open_data()


def test_an_edit_of_the_data_code_leaves_the_referees_hash_alone(tmp_path: Path) -> None:
    repository = Repository.init(tmp_path)
    (tmp_path / "training").mkdir()
    files = {"prepare.py": PREPARE, "training/corpus.py": CORPUS, CANVAS: PREPARE.parent / CANVAS}
    for name, path in files.items():
        (tmp_path / name).write_bytes(path.read_bytes())
    first = repository.commit_first(list(files), "a lab")
    copied = referee_files(repository, first, (CANVAS,))
    assert set(copied) == {"prepare.py"}
    for name, is_the_same in (("training/corpus.py", True), ("prepare.py", False)):
        (tmp_path / name).write_text("# edited\n")
        git(tmp_path, "commit", "-q", "-a", "-m", f"edit {name}")
        edited = hash_referee(referee_files(repository, "HEAD", (CANVAS,)))
        assert (edited == hash_referee(copied)) is is_the_same


def test_a_canvas_that_imports_the_data_code_reads_files_and_no_holdout_clears_it() -> None:
    base = {CANVAS: "import prepare\n"}
    edited = {CANVAS: "import corpus\nimport prepare\n"}
    rules = [flag.rule for flag in audit(base, edited, has_referee=True, metric="val_bpb")]
    assert rules == [Ground.FILES.value]
