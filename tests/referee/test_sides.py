"""The referee's two sides: what the canvas calls sees no tokens, targets or clock, and no run makes data."""

from __future__ import annotations

import ast
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sessions.git.repository import Repository
from supervisor.audit.audit import audit
from supervisor.audit.rules import Ground
from supervisor.lab.referee_copy import hash_referee, referee_files
from tests.referee.conftest import CORPUS, PREPARE, clean_environment
from tests.worlds.labs import git

CANVAS = "training/train.py"
MOST_LINES = 500


def test_what_is_trusted_is_read_in_one_sitting_and_knows_nothing_of_the_trainers_side() -> None:
    text = PREPARE.read_text()
    trusted, trainers = text.split("# ---- The trainer's side")
    said = trusted.partition("# ---- What the referee hears and says")[2]
    data = said[said.index("# ---- Opening and verifying data") : said.index("# ---- The referee's process")]
    lines = said.replace(data, "").splitlines()
    assert sum(1 for line in lines if line.strip()) <= MOST_LINES
    ours = {
        node.name
        for node in ast.parse(f"#{trainers}").body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    names = {node.id for node in ast.walk(ast.parse(trusted)) if isinstance(node, ast.Name)}
    assert ours & names == set()


def test_the_referees_process_never_runs_what_is_the_trainers(cache: Path, corpus: Path) -> None:
    ours, theirs = socket.socketpair()
    program = (
        "import sys, runpy; sys.argv = sys.argv[1:]\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally: print('torch' in sys.modules)"
    )
    given = {"AUTORESEARCH_CACHE": str(cache), "AUTORESEARCH_SOURCE": str(corpus)}
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(PREPARE), "--referee", str(theirs.fileno())],
            env=clean_environment(**given),
            pass_fds=[theirs.fileno()],
            stdout=subprocess.PIPE,
            text=True,
        )
        theirs.close()
        assert json.loads(ours.makefile().readline())["seed"] == 1337
        ours.shutdown(socket.SHUT_RDWR)
        said, _ = process.communicate(timeout=60)
    assert said.splitlines()[-1] == "False"
    assert process.returncode == 0


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
