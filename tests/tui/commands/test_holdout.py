"""Holdout figures reach the person, and no agent: not by a command, a file or a brief."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from roles.briefs.tasks import plan_brief, tried
from sessions.processes.marks import AGENT_VARIABLE
from supervisor.lab.paths import Lab
from supervisor.loop.publishing import result, write_results
from tests.worlds.command_lines import Run
from tests.worlds.fast_motion import World

FAR_AWAY = 7770.0  # added to every holdout figure, so that none can be mistaken for another number
RECOGNISABLE = re.compile(r"777\d\.\d")


@pytest.fixture
def sealed(lab: Lab) -> World:
    """A campaign with one keep that was measured on a holdout whose figures are recognisable."""
    world = World(
        lab.state_dir, experiments=4, gain_of=lambda n: 0.3 if n == 2 else 0.0, overfits=lambda _: FAR_AWAY
    )
    world.play()
    assert sum(run.holdout is not None for one in world.snapshot().experiments for run in one.runs) >= 6
    return world


def test_nothing_that_agents_can_read_has_a_holdout_figure(
    run: Run, lab: Lab, sealed: World, tmp_path: Path
) -> None:
    snapshot = sealed.snapshot()
    commands = [("experiments",), ("leaderboard",), ("status",), ("branches",), ("plan",), ("notes",)]
    commands += [("experiments", one.id) for one in snapshot.experiments]  # type: ignore[misc]
    said = [run(*words, *more) for words in commands for more in ((), ("--json",))]
    assert all(each.code == 0 for each in said)
    write_results(tmp_path / "results.tsv", snapshot)
    texts = [each.out for each in said] + [(tmp_path / "results.tsv").read_text()]
    texts += [json.dumps(result(one)) for one in snapshot.experiments]
    texts += [repr(plan_brief(lab, sealed.store, snapshot, (), ())), repr(tried(lab, sealed.store, snapshot))]
    texts += [event.text for event in snapshot.events]
    assert RECOGNISABLE.search(repr(snapshot))
    assert [text for text in texts if RECOGNISABLE.search(text)] == []


def test_the_person_sees_both_gains(run: Run, sealed: World) -> None:
    said = run("leaderboard", "--holdout")
    head, first = (line.split("\t") for line in said.out.splitlines()[:2])
    row = dict(zip(head, first, strict=True))
    assert row["validation"].startswith("+.") and row["holdout"].startswith("+.")
    assert row["says"] == "confirmed"
    assert re.search(r"holdout gain \+\.\d+ of the validation gain \+\.\d+ \(share [01]\.\d\d", said.out)


def test_a_gain_on_the_validation_text_only_is_named(run: Run, lab: Lab) -> None:
    world = World(
        lab.state_dir, experiments=4, gain_of=lambda n: 0.3 if n == 2 else 0.0,
        overfits=lambda n: 0.28 if n == 2 else 0.0,
    )  # fmt: skip
    world.play()
    keep = next(one for one in world.snapshot().experiments if one.verdict == "keep")
    assert f"overfitting to validation since {keep.id}" in run("leaderboard", "--holdout").out


def test_an_agent_is_refused_in_one_line(run: Run, sealed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(AGENT_VARIABLE, "junior-1")
    refused = run("leaderboard", "--holdout")
    assert refused.code == 1 and refused.out == ""
    assert "for the person only" in refused.err and refused.err.count("\n") == 1
    assert run("leaderboard").code == 0


def test_unsetting_the_variable_does_not_make_a_person() -> None:
    child = (
        "import os, subprocess, sys; env = dict(os.environ); del env['AUTORESEARCH_AGENT'];"
        "sys.exit(subprocess.run([sys.executable, '-P', '-c', sys.argv[1]], env=env).returncode)"
    )
    grandchild = "from sessions.processes.marks import agent_around; print(agent_around())"
    asked = subprocess.run(
        [sys.executable, "-c", child, grandchild], cwd=Path(__file__).parents[3],
        env={AGENT_VARIABLE: "junior-2", "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert asked.stdout == "junior-2\n"


@pytest.mark.parametrize("more", [("--json",), ("--first", "3")])
def test_no_script_reads_it(run: Run, sealed: World, more: tuple[str, ...]) -> None:
    assert run("leaderboard", "--holdout", *more).code == 2


def test_before_there_is_a_keep_there_is_nothing_to_compare(run: Run, world: World) -> None:
    assert run("leaderboard", "--holdout").table == []
