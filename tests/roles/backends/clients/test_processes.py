"""What ends a client: its own end, silence, the clock, and the end of its agent, by whatever signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from roles.backend import BackendError, EditResult
from roles.backends.clients.client_setup import marker_of
from sessions.processes.guarded_child import GuardedChild
from sessions.processes.marks import MARKER_VARIABLE, find_marked
from sessions.processes.tree import wait_until
from tests.roles.backends.clients.conftest import EDITS

World = Any
CHECKOUT = Path(__file__).resolve().parents[4]
CHILDREN = "(setsid sh -c 'trap \"\" TERM; sleep 300' &) ; sleep 300 & "


def left_over(world: World) -> list[int]:
    return find_marked(marker_of(world.context.folder))


def test_a_client_that_says_nothing_is_ended_with_its_children(world: World) -> None:
    backend = world.client("codex", f"{CHILDREN} sleep 300", silence_s=0.4)
    with pytest.raises(BackendError, match=r"said nothing for 0\.4 s"):
        backend.edit(world.task(), world.told)
    assert left_over(world) == []


def test_a_client_that_chatters_for_ever_is_ended(world: World) -> None:
    backend = world.client("codex", "while :; do echo '{}'; sleep 0.05; done", silence_s=5.0, timeout_s=0.5)
    with pytest.raises(BackendError, match=r"not done after 0\.5 s"):
        backend.edit(world.task(), world.told)
    assert left_over(world) == []


def test_what_a_client_leaves_behind_ends_with_it(world: World) -> None:
    script = world.plays("codex-edit.jsonl", first=f"{EDITS}; {CHILDREN}")
    assert world.client("codex", script).edit(world.task(), world.told).result is EditResult.EDITED
    assert left_over(world) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_client_ends_with_its_agent(world: World, number: signal.Signals, tmp_path: Path) -> None:
    world.install("codex", f"{CHILDREN} sleep 300")
    program = tmp_path / "agent.py"
    program.write_text(
        "from pathlib import Path\n"
        "from tests.roles.backends.clients.conftest import World\n"
        f"world = World(Path({str(world.root)!r}), env={world.env!r})\n"
        "world.client('codex').edit(world.task(), world.told)\n"
    )
    env = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    agent = subprocess.Popen([sys.executable, str(program)], env=env)
    try:
        assert wait_until(lambda: len(left_over(world)) >= 5, 20)
    finally:
        agent.send_signal(number)
        agent.wait()
    assert wait_until(lambda: left_over(world) == [], 10)


def test_leftovers_of_a_killed_guard_are_ended_before_the_next_run(tmp_path: Path) -> None:
    old = subprocess.Popen(["sleep", "300"], env=os.environ | {MARKER_VARIABLE: "mind-of-a-test"})
    child = GuardedChild(
        ["/bin/sh", "-c", "echo began"], cwd=tmp_path, env=os.environ, stdin=None, marker="mind-of-a-test",
        silence_s=9.0, timeout_s=9.0,
    )  # fmt: skip
    with child:
        assert old.wait(5) == -signal.SIGKILL
        assert list(child.lines()) == ["began"]


def test_a_program_that_is_not_there_is_named_with_how_to_get_it(world: World) -> None:
    world.env["PATH"] = str(world.bin)
    with pytest.raises(BackendError, match="codex is not installed; npm install -g @openai/codex"):
        world.client("codex").edit(world.task(), world.told)
