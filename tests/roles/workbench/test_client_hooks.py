"""`autoresearch-tui hook`: it tells states, and whatever it is given it never stops the client."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from roles.workbench.client_hooks import state_of, tools_ready_file
from supervisor.model.snapshot import Agent
from supervisor.model.states import AgentState, Wanted
from supervisor.store import agents
from supervisor.store.connection import Store
from tests.worlds.interactive import ToyLab, launched
from tests.worlds.live import CLI


def hook(toy: ToyLab, *words: str, text: str = "", agent: str = "junior-1") -> str:
    """Run it as a client does; returns what it logged."""
    own_folder = toy.lab.state_dir / "agents" / "junior-1"
    own_folder.mkdir(parents=True, exist_ok=True)
    tools_ready_file(toy.lab.state_dir, "junior-1").touch()
    env = {name: value for name, value in os.environ.items() if not name.startswith("AUTORESEARCH_")}
    done = subprocess.run(
        [CLI, "hook", *words], input=text, env=env | ({"AUTORESEARCH_AGENT": agent} if agent else {}),
        cwd=toy.lab.root, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    log = own_folder / "hooks.log"
    return log.read_text() if log.exists() else ""


def junior(toy: ToyLab) -> Agent:
    agent = toy.snapshot().agent("junior-1")
    assert agent is not None
    return agent


@pytest.mark.parametrize(
    ("words", "text", "logged"),
    [
        (("Stop",), "{not json", "Stop: Expecting property name"),
        (("Stop",), "[1, 2]", "Stop: list in place of an object"),
        (("Stop",), "[" * 100_000, "Stop: "),
        (("Stop",), "\x00\xff", "Stop: "),
        (("Coffee",), "{}", "Coffee: unknown event"),
        ((), "{}", "unknown event"),
        (("Stop", "--no-such-option", "--lab"), "{}", ""),
        (("Stop", "--state-dir", "/nowhere"), "{}", ""),
    ],
)
def test_what_cannot_be_understood_is_logged_and_blocks_nothing(
    toy: ToyLab, words: tuple[str, ...], text: str, logged: str
) -> None:
    assert logged in hook(toy, *words, text=text)
    assert junior(toy).state is AgentState.STARTING


def test_a_broken_database_blocks_nothing(toy: ToyLab, tmp_path: Path) -> None:
    own_folder = tmp_path / "broken" / "agents" / "junior-1"
    own_folder.mkdir(parents=True)
    (tmp_path / "broken" / "lab.db").write_bytes(b"no database at all, but as long as one is" * 100)
    hook(toy, "Stop", "--state-dir", str(tmp_path / "broken"), text="{}")
    assert "Stop: StoreError" in (own_folder / "hooks.log").read_text()


def test_outside_of_an_agents_window_it_says_nothing(toy: ToyLab) -> None:
    hook(toy, "Stop", text="{}", agent="")
    hook(toy, "Stop", text="{}", agent="junior-7")
    assert junior(toy).state is AgentState.STARTING


def test_the_json_may_be_the_last_word(toy: ToyLab) -> None:
    state = ("--lab", str(toy.lab.root), "--state-dir", str(toy.lab.state_dir))
    hook(toy, *state, "Stop", '{"type": "agent-turn-complete"}')
    assert junior(toy).state is AgentState.IDLE


def test_a_headless_agent_and_one_that_was_taken_over_keep_their_states(toy: ToyLab, tmp_path: Path) -> None:
    headless = launched(tmp_path / "headless", "")
    hook(headless, "Stop", text="{}")
    assert junior(headless).state is AgentState.STARTING
    campaign = toy.snapshot().campaign
    assert campaign is not None
    agents.want_agents(Store(toy.lab.db), campaign.tag, ("junior-1",), Wanted.TAKEN, time.time())
    hook(toy, "Stop", text="{}")
    assert junior(toy).state is AgentState.STARTING


def test_the_first_turn_waits_for_the_labs_tools(toy: ToyLab) -> None:
    own_folder = toy.lab.state_dir / "agents" / "junior-1"
    own_folder.mkdir(parents=True)
    words = [CLI, "hook", "UserPromptSubmit", "--state-dir", str(toy.lab.state_dir)]
    env = os.environ | {"AUTORESEARCH_AGENT": "junior-1"}
    waiting = subprocess.Popen(words, stdin=subprocess.DEVNULL, env=env)
    deadline = time.monotonic() + 20
    while junior(toy).state is not AgentState.THINKING and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(1)
    tools_ready_file(toy.lab.state_dir, "junior-1").touch()
    assert waiting.wait(5) == 0


@pytest.mark.parametrize(
    ("event", "data", "state", "doing", "waiting_for"),
    [
        ("SessionStart", {}, AgentState.IDLE, "its client is up", ""),
        ("PreToolUse", {"tool_name": "Read", "tool_input": {"file_path": "/a"}}, AgentState.THINKING, "Read /a", ""),
        ("PreToolUse", {"tool_name": "Write", "tool_input": {"file_path": 3}}, AgentState.EDITING, "Write", ""),
        ("PreToolUse", {"tool_name": ["x"], "tool_input": "y"}, AgentState.THINKING, "", ""),
        (
            "PreToolUse",
            {"tool_name": "mcp__lab__wait", "tool_input": {"experiment": "e0003"}},
            AgentState.WAITING,
            "for e0003",
            "",
        ),
        ("PermissionRequest", {"tool_name": "Bash"}, AgentState.WAITING, "", "may it use Bash?"),
        ("Notification", {"message": "look\x1b[2J\nhere"}, AgentState.WAITING, "", "look here"),
        ("StopFailure", {}, AgentState.IDLE, "", "it stopped: its model did not answer"),
        ("SessionEnd", {"reason": "logout"}, AgentState.IDLE, "its client left", ""),
    ],
)  # fmt: skip
def test_what_each_event_means(
    event: str, data: dict[str, Any], state: AgentState, doing: str, waiting_for: str
) -> None:
    told = state_of(event, data)
    assert told is not None
    assert (told.state, told.doing, told.waiting_for) == (state, doing, waiting_for)


def test_a_hook_imports_nothing_heavy(toy: ToyLab) -> None:
    code = (
        f"import sys; sys.argv = ['autoresearch-tui', 'hook', 'Stop', '--state-dir', {str(toy.lab.state_dir)!r}]\n"
        "from tui.main import main\nstatus = main()\n"
        "heavy = {'scipy', 'git', 'pydantic', 'mcp', 'textual', 'numpy', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'{status} {heavy}' if status or heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], input="{}", env=os.environ | {"AUTORESEARCH_AGENT": "junior-1"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert junior(toy).state is AgentState.IDLE
