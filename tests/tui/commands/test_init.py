"""`init` from the command line: what it prints, what it writes, and what it refuses in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.lab.paths import find_lab
from tests.worlds import foreign
from tests.worlds.command_lines import Run

Git = Callable[..., str]


@pytest.fixture
def plant(tmp_path: Path) -> Callable[[str], Path]:
    """A repository of that kind."""
    return lambda kind: foreign.plant(tmp_path / kind, foreign.KINDS[kind]())


def test_what_was_found_is_shown_with_its_place_and_reason(run: Run, plant: Callable[[str], Path]) -> None:
    root = plant("c")
    result = run("init", str(root), "--yes")
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0] == f"{root} is a project that is built, then measured"
    assert "metric\tcache_misses\tbench/bench.c:28\tprints cache_misses: …" in lines
    assert lines[-2] == f"wrote {root / 'autoresearch.toml'}; nothing was committed"
    again = run("init", str(root), "--yes")
    assert (again.code, "is a lab already" in again.err) == (1, True)


def test_dry_run_writes_nothing_and_json_is_for_scripts(
    run: Run, plant: Callable[[str], Path], git: Git
) -> None:
    root = plant("auto")
    found = json.loads(run("init", str(root), "--dry-run", "--json").out)
    assert (found["schema"], found["kind"], found["missing"], found["written"]) == (
        1,
        "pi-autoresearch",
        [],
        [],
    )
    assert found["found"]["editable"] == ["src/sorting.py"]
    assert (found["found"]["direction"], found["found"]["budget_s"]) == ("lower", None)
    primary = {"fact": "metric", "where": ".auto/log.jsonl:1", "why": "the session's primary metric"}
    assert primary in found["evidence"]
    assert git(root, "status", "--porcelain") == ""
    assert json.loads(run("init", str(root), "--json").out)["written"] == ["autoresearch.toml"]


def test_flags_answer_ahead_of_the_files(run: Run, plant: Callable[[str], Path]) -> None:
    root = plant("evaluate.py")
    said = (
        "--editable",
        "solution.py",
        "--editable",
        "README.md",
        "--command",
        "{python} -O evaluate.py",
        "--direction",
        "down",
    )
    assert run("init", str(root), *said, "--budget", "5m", "--timeout", "20m", "--checks", "true").code == 0
    config = find_lab(root).config
    assert config.lab.editable == ("solution.py", "README.md")
    assert (config.lab.command, config.metric.direction) == ("{python} -O evaluate.py", "lower")
    assert (config.lab.budget_s, config.lab.timeout_s, config.checks.command) == (300.0, 1200.0, "true")


def test_a_guess_is_said_aloud(run: Run, tmp_path: Path) -> None:
    root = foreign.plant(tmp_path / "unclear", {"train.py": "print(f'quux: {1}')\n"})
    out = run("init", str(root), "--yes").out
    assert "note: better is: lower is a guess; the name quux does not tell" in out
    assert "note: train.py may change and prints the score itself: nothing else checks it" in out


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ((), "nothing in {root} is known as a lab; say --editable FILE --command 'LINE' --metric NAME"),
        (
            ("--editable", "fit.jl"),
            "the files do not tell what command measures it and what the printed metric is",
        ),
        (("--editable", "nope"), "--editable: nope is not among the committed files"),
        (
            ("--command", "no-such-thing"),
            "--command: no-such-thing is neither a program here nor a committed file",
        ),
        (
            ("--direction", "sideways"),
            "--direction: 'sideways' is neither up nor down; say `lower` or `higher`",
        ),
        (("--budget", "soon"), "--budget: 'soon' is no duration"),
    ],
)
def test_refusals_name_what_to_say(run: Run, tmp_path: Path, flags: tuple[str, ...], why: str) -> None:
    root = foreign.plant(tmp_path / "unknown", {"fit.jl": "println(1)\n"})
    result = run("init", str(root), "--yes", *flags)
    assert result.code == 1
    assert result.err.startswith(f"autoresearch-tui: {why.format(root=root)}")
    assert not (root / "autoresearch.toml").exists()


def test_flags_about_what_is_there_need_a_repository(run: Run, tmp_path: Path) -> None:
    result = run("init", str(tmp_path / "new"), "--metric", "loss")
    assert "is no repository" in result.err
    assert not (tmp_path / "new").exists()


def test_a_new_lab_in_json(run: Run, tmp_path: Path) -> None:
    made = json.loads(run("init", str(tmp_path / "new"), "--json").out)
    assert made["root"] == str(tmp_path / "new")
    assert len(made["commit"]) == 40


@pytest.mark.parametrize(("kind", "says"), [("c", "the same every time"), ("tutorial", "this is your noise")])
def test_trying_measures_the_code_as_it_stands(
    run: Run, plant: Callable[[str], Path], git: Git, kind: str, says: str
) -> None:
    root = plant(kind)
    out = run("init", str(root), "--yes", "--try").out
    assert "run 3 of 3" in out
    assert says in out
    assert git(root, "worktree", "list").count("\n") == 1
    assert git(root, "status", "--porcelain").split() == ["??", "autoresearch.toml"]


def test_a_command_that_fails_is_told_and_nothing_is_written(run: Run, tmp_path: Path) -> None:
    root = foreign.plant(
        tmp_path / "broken", {"train.py": "print(f'loss: {1}')\nraise SystemExit('no data')\n"}
    )
    result = run("init", str(root), "--yes", "--try")
    assert (result.code, "no data" in result.err) == (1, True)
    assert not (root / "autoresearch.toml").exists()
