"""An interactive agent: a client in a terminal, its hooks, its end, and a person in its place."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from sessions.locks import held
from supervisor.model.states import AgentState, CampaignState, ExperimentState, Wanted
from supervisor.store import campaigns
from supervisor.store.connection import Store
from tests.worlds.interactive import ToyLab, launched
from tests.worlds.live import CLI
from tests.worlds.pane import Pane


@pytest.fixture
def pane(toy: ToyLab, tmp_path: Path) -> Iterator[Pane]:
    keys = {"SHELL": "/bin/sh", "OPENAI_API_KEY": "sk-other", "ANTHROPIC_API_KEY": "sk-own"}
    with held(toy.lab.supervisor_lock):  # or the agent would start one
        running = Pane(toy, tmp_path, keys)
        yield running
        running.close()


def started(pane: Pane, times: int = 1) -> dict[str, Any]:
    pane.wait(lambda: len(pane.log("start")) >= times, f"started {times} times")
    pane.wait(lambda: any(each[0] == "SessionStart" for each in pane.log("hook")), "ran its hook")
    return pane.log("start")[times - 1]


def test_states_follow_the_clients_hooks(pane: Pane) -> None:
    start = started(pane)
    assert start["foreground"]
    assert start["cwd"] == str(pane.toy.canvas.parent)
    assert start["env"]["HOME"] == str(pane.home)
    assert "OPENAI_API_KEY" not in start["env"] and start["env"]["ANTHROPIC_API_KEY"] == "sk-own"
    trusted = json.loads((pane.home / ".claude.json").read_text())
    assert trusted["hasCompletedOnboarding"]
    assert trusted["projects"][str(pane.toy.canvas.parent)]["hasTrustDialogAccepted"]
    beat = pane.agent().heartbeat_at

    pane.step("hook", "UserPromptSubmit", {"prompt": "go on"})
    assert pane.agent().state is AgentState.THINKING
    pane.step("claim_hypothesis", {"own_idea": True})
    pane.step("edit", str(pane.toy.canvas), "X = 8.0", "X = 5.0")
    assert (pane.agent().state, pane.agent().doing) == (AgentState.EDITING, f"Edit {pane.toy.canvas}"[-125:])
    pane.step("run_experiment", {"title": "X 5", "expectation": "better"})
    assert pane.agent().state is AgentState.WAITING
    pane.step("hook", "PermissionRequest", {"tool_name": "Bash"})
    assert pane.agent().waiting_for == "may it use Bash?"
    pane.step("hook", "Notification", {"message": "Claude needs \x1b[31myou"})
    assert pane.agent().waiting_for == "Claude needs you"
    pane.step("hook", "UserPromptSubmit", {})
    assert (pane.agent().state, pane.agent().waiting_for) == (AgentState.THINKING, "")
    pane.step("hook", "Stop", {"stop_hook_active": False})
    assert pane.agent().state is AgentState.IDLE and "what is next?" in pane.agent().waiting_for
    pane.step("hook", "StopFailure", {"error": "rate_limit"})
    assert pane.agent().waiting_for == "it stopped: rate_limit"
    assert {(code, out) for _, code, out in pane.log("hook")} == {
        (0, "")
    }  # anything else would reach the model

    (mine,) = (e for e in pane.toy.snapshot().experiments if e.agent)
    assert (mine.state, mine.title) == (ExperimentState.READY, "X 5")
    pane.wait(lambda: (pane.agent().heartbeat_at or 0) > (beat or 0), "a later pulse")


def test_a_client_that_ends_is_started_again_with_nothing_left_of_it(pane: Pane) -> None:
    first = started(pane)
    pane.step("child")
    (child,) = pane.log("child")
    pane.step("exit", 3)
    again = started(pane, times=2)
    assert again["pid"] != first["pid"]
    assert b"claude ended with code 3; again in 1 s" in pane.shown
    assert not psutil.pid_exists(child)


def test_the_persons_stop_ends_the_client_and_all_below_it(pane: Pane) -> None:
    client = psutil.Process(started(pane)["pid"])
    family = [client, *client.children(recursive=True)]
    pane.want(Wanted.STOPPED)
    assert pane.ended() == 0
    assert pane.agent().state is AgentState.STOPPED
    assert not [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def test_an_agent_that_is_killed_takes_its_client_along(pane: Pane) -> None:
    client = psutil.Process(started(pane)["pid"])
    pane.step("deaf")
    pane.process.kill()
    pane.ended()
    pane.wait(lambda: not client.is_running() or client.status() == psutil.STATUS_ZOMBIE, "ended the client")


def test_a_client_that_is_not_there_is_named_with_its_install_line(toy: ToyLab, tmp_path: Path) -> None:
    git = shutil.which("git")
    assert git
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(git)
    env = os.environ | {"PATH": str(tmp_path / "bin")}
    done = subprocess.run(
        [CLI, "agent", "junior-1", "--lab", str(toy.lab.root)], env=env, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    agent = toy.snapshot().agent("junior-1")
    assert agent is not None and agent.state is AgentState.CRASHED
    assert "`npm install -g @anthropic-ai/claude-code`" in agent.doing


def test_a_person_takes_the_pane_tries_an_edit_and_hands_it_back(pane: Pane) -> None:
    client = psutil.Process(started(pane)["pid"])
    taken = cli(pane, "takeover", "junior-1")
    assert taken.returncode == 0, taken.stderr
    pane.wait(lambda: pane.agent().state is AgentState.PAUSED, "was taken over")
    pane.wait(lambda: b"this pane is yours" in pane.shown, "the hints")
    assert not client.is_running()

    pane.type(
        "sed -i 's/X = 8.0/X = 4.0/' train.py && autoresearch-tui try --title 'by hand' --expect 'less'\n"
    )
    pane.wait(lambda: b"is handed over" in pane.shown, "the answer")
    (mine,) = (e for e in pane.toy.snapshot().experiments if e.agent)
    assert (mine.agent, mine.title, mine.hypothesis_id) == ("junior-1", "by hand", None)
    assert "X = 8.0" in pane.toy.canvas.read_text()  # the next edit starts afresh

    pane.type("echo mine >> README.md; autoresearch-tui try --title t\n")
    pane.wait(lambda: b"protected path changed" in pane.shown, "the refusal")
    handed = cli(pane, "handback", "junior-1")
    assert handed.returncode == 0, handed.stderr
    started(pane, times=2)
    (left,) = (pane.home.parent / "left").rglob("README.md")
    assert left.read_text().endswith("mine\n")


def test_leaving_the_shell_hands_the_pane_back(pane: Pane) -> None:
    started(pane)
    pane.want(Wanted.TAKEN)
    pane.wait(lambda: b"this pane is yours" in pane.shown, "the hints")
    pane.type("exit\n")
    started(pane, times=2)
    assert pane.agent().wanted is Wanted.RUNNING


def test_a_campaign_that_is_over_ends_the_client(pane: Pane) -> None:
    client = psutil.Process(started(pane)["pid"])
    campaign = pane.toy.snapshot().campaign
    assert campaign is not None
    store = Store(pane.toy.lab.db)
    campaigns.set_campaign_state(store, campaign.tag, CampaignState.FINISHED, "over", time.time())
    assert pane.ended() == 0
    assert not client.is_running()


def cli(pane: Pane, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CLI, *words], cwd=pane.toy.lab.root, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def test_a_junior_of_the_labs_own_loop_is_taken_over_between_two_steps(tmp_path: Path) -> None:
    toy = launched(tmp_path / "lab", "")
    with held(toy.lab.supervisor_lock):
        pane = Pane(toy, tmp_path, {"SHELL": "/bin/sh"})
        try:
            pane.wait(lambda: pane.agent().state is AgentState.WAITING, "handed its drafts over")
            pane.type("stay small\n")
            pane.wait(lambda: "stay small" in said(pane), "heard the person")
            assert cli(pane, "takeover", "junior-1").returncode == 0
            pane.wait(lambda: b"this pane is yours" in pane.shown, "the hints")
            (full,) = cli(pane, "try", "--agent", "junior-1", "--title", "t").stderr.splitlines()
            assert "nothing is changed" in full
            pane.type("echo to the shell\n")
            pane.wait(lambda: pane.shown.count(b"to the shell") > 1, "the shell's answer")
            assert cli(pane, "handback", "junior-1").returncode == 0
            pane.wait(lambda: b"handed back" in pane.shown, "the loop again")
            pane.type("and smaller\n")
            pane.wait(lambda: "and smaller" in said(pane), "heard the person again")
            assert "to the shell" not in said(pane)
        finally:
            pane.close()


def said(pane: Pane) -> str:
    return "\n".join(
        event.text for event in pane.toy.snapshot().events if "message from person" in event.text
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("takeover", "chief"), "only a junior's place"),
        (("takeover", "junior-9"), "there is no agent 'junior-9'"),
        (("handback", "junior-1"), "is not taken over"),
        (("try", "--title", "t"), "which agent?"),
        (("try", "--title", "t", "--agent", "junior-1"), "`autoresearch-tui takeover junior-1` first"),
        (("try", "--fresh", "--agent", "junior-1"), "`autoresearch-tui takeover junior-1` first"),
    ],
)
def test_what_cannot_be_taken_is_one_line(tmp_path: Path, words: tuple[str, ...], reason: str) -> None:
    toy = launched(tmp_path / "lab", "")
    done = subprocess.run(
        [CLI, *words], cwd=toy.lab.root, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert reason in done.stderr and len(done.stderr.splitlines()) == 1
