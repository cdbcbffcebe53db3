"""`launch --headless` in a lab that is not well: it says so at once, and fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessions.runs.contract import RunEnding
from supervisor.client.lab_client import LabClient
from supervisor.errors import LabError
from supervisor.lab.paths import Lab
from supervisor.model.states import AgentState, Wanted
from supervisor.store import agents
from tests.worlds.command_lines import Run
from tests.worlds.fast_motion import TAG, World
from tests.worlds.labs import TOY_CANVAS, make_toy_lab
from tui.commands import headless
from tui.commands.command_line import run_command_line


@pytest.fixture
def no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("it was launched")

    monkeypatch.setattr("supervisor.client.lab_client.LabClient.launch", never)


def launched(root: Path, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = run_command_line(("--lab", str(root), "launch", "--headless", *words))
    return code, capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--chief", "codex"), "chief can't work: codex is not installed"),
        (("--junior", "offline,codex"), "junior-2 can't work: codex is not installed"),
        (("--junior", "anthropic"), "the Messages API; ANTHROPIC_API_KEY is not set; export ANTHROPIC_API_KEY"),
        (("--junior", "command"), "junior-1 can't work: no command is named"),
    ],
)  # fmt: skip
def test_a_backend_that_cannot_work_is_refused_before_anything_starts(
    run: Run, lab: Lab, no_launch: None, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], says: str
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    result = run("launch", "--headless", *words)
    assert result.code == 1
    assert says in result.err


def test_a_canvas_with_nothing_to_step_is_refused_where_nobody_else_edits(
    tmp_path: Path, no_launch: None, capfd: pytest.CaptureFixture[str]
) -> None:
    lab = make_toy_lab(tmp_path / "lab", canvas="raise SystemExit('no data')\n")
    code, says = launched(lab.root, capfd)
    assert code == 1
    assert "train.py has no top-level number to step" in says


def test_checks_that_the_unchanged_code_fails_are_said_before_anything_is_spent(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lab = make_toy_lab(tmp_path / "lab", canvas=TOY_CANVAS)
    toml = lab.root / "autoresearch.toml"
    toml.write_text(f"{toml.read_text()}\n[checks]\ncommand = \"sh -c 'cat roms/MAZE'\"\n")
    code, says = launched(lab.root, capfd)
    assert code == 1
    assert "the checks fail on the code as it stands" in says
    assert "roms/MAZE: No such file or directory" in says


def test_a_baseline_that_does_not_run_is_told_and_is_a_failure(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    world = World(lab.state_dir, crash_reason="Error: Cannot find module 'adder' (bench.js:1)")
    world.act()

    def crash_one(*_: object) -> None:
        for run in world.running()[:1]:
            world.finish(run, RunEnding.CRASHED)
        world.act()

    monkeypatch.setattr("supervisor.client.lab_client.LabClient.wait_for_change", crash_one)
    with pytest.raises(LabError, match="does not run: Error: Cannot find module 'adder'"):
        headless.follow_to_the_end(LabClient(lab))
    assert "trouble e0000.1: crashed: Error: Cannot find module 'adder'" in capfd.readouterr().out


def test_juniors_that_never_did_a_step_end_the_watching_and_others_are_only_named(
    lab: Lab, world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(headless, "UNABLE_AFTER_S", 0.0)
    looks = 0

    def fail(*_: object) -> None:
        nonlocal looks
        looks += 1
        for name in ("junior-1", "junior-2")[:looks]:
            state = AgentState.FAILING
            agents.set_agent_state(world.store, TAG, name, state, world.now, doing="401: log in first")
        if looks > 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("supervisor.client.lab_client.LabClient.wait_for_change", fail)
    with pytest.raises(
        KeyboardInterrupt
    ):  # they had handed drafts over: an outage, not a set-up that is wrong
        headless.follow_to_the_end(LabClient(lab))
    assert capfd.readouterr().out.count("trouble junior-1: 401: log in first") == 1
    looks = 0
    world.store.connection.execute(
        "UPDATE experiments SET commit_sha = NULL, verdict = NULL WHERE agent != ''"
    )
    with pytest.raises(LabError, match="no junior can work: 401: log in first"):
        headless.follow_to_the_end(LabClient(lab))
    campaign = world.snapshot().campaign
    assert campaign is not None
    assert campaign.wanted is Wanted.STOPPED
