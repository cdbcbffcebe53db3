"""Command lines run in this process, on a lab with a real store that was played in fast motion."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessions.runs.contract import RunEnding
from supervisor.lab.paths import Lab, find_lab
from supervisor.lab.state_folder import prepare_state
from tests.worlds.command_lines import Result, Run
from tests.worlds.fast_motion import World
from tui.commands.command_line import run_command_line


@pytest.fixture
def run(lab_root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run `autoresearch-tui` with these words, from inside the lab."""
    monkeypatch.chdir(lab_root / "training")

    def run_words(*words: str) -> Result:
        capfd.readouterr()
        code = run_command_line(words)
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return run_words


@pytest.fixture
def lab(lab_root: Path) -> Lab:
    """The lab, its state folder made."""
    lab = find_lab(lab_root)
    prepare_state(lab)
    return lab


@pytest.fixture
def played(lab: Lab) -> World:
    """A campaign that is over: its third draft crashed, its fourth brought a gain that nobody can miss."""
    world = World(
        lab.state_dir,
        experiments=6,
        gain_of=lambda number: 0.2 if number == 4 else 0.0,
        ending_of=lambda number: RunEnding.CRASHED if number == 3 else RunEnding.MEASURED,
    )
    world.play()
    return world


@pytest.fixture
def world(lab: Lab) -> World:
    """A campaign under way: the baseline is settled, both juniors' first drafts are training."""
    world = World(lab.state_dir)
    while not any(agent.incumbent_id for agent in world.snapshot().agents) or not world.running():
        world.act()
        for run in world.running():
            world.finish(run)
        if world.snapshot().experiment("e0000").verdict is not None:  # type: ignore[union-attr]
            world.draft_all()
            world.act()
            break
    return world
