"""Every client of the catalogue, read from what the named real version printed (see docs/backends.md)."""

from __future__ import annotations

import time
from typing import Any

import pytest

from roles.backend import BackendError, Cost, EditResult, ParkedError
from tests.roles.backends.clients.conftest import EDITS

World = Any

EDITED = {
    "claude": ("claude-edit.jsonl", Cost(0.0032325, 300, 60, 90, 30, "claude-opus-4-8[1m]"), "Edit"),
    "codex": ("codex-edit.jsonl", Cost(None, 220, 40, 60, 0, ""), "file_change"),
    "pi": ("pi-edit.jsonl", Cost(0.0019395, 300, 60, 90, 30, "claude-sonnet-4-5"), "edit"),
    "opencode": ("opencode-edit.jsonl", Cost(0.0019395, 300, 60, 90, 30, ""), "edit"),
    "gemini": ("gemini-edit.jsonl", Cost(None, 330, 60, 90, 0, "gemini-2.5-pro"), "replace"),
    "aider": ("aider-edit.txt", Cost(0.0006465, 150, 20, 0, 0, ""), None),
}


def script_of(world: World, name: str, transcript: str, code: int) -> str:
    script = str(world.plays(transcript, code=code, first=EDITS))
    if name == "aider":
        world.plays("aider-edit-events.jsonl")
        script = f"cp {world.bin / 'aider-edit-events.jsonl'} $TMPDIR/events.jsonl\n{script}"
    return script


@pytest.mark.parametrize("name", EDITED)
@pytest.mark.parametrize("code", [0, 1])
def test_an_edit_is_read_from_its_terminal_event_whatever_the_exit_code(
    world: World, name: str, code: int
) -> None:
    transcript, cost, tool = EDITED[name]
    outcome = world.client(name, script_of(world, name, transcript, code)).edit(world.task(), world.told)
    assert (outcome.result, outcome.title) == (EditResult.EDITED, "Depth 3 instead of 4")
    assert outcome.expectation == "Fewer layers, more steps: 0.01 better."
    assert outcome.cost.usd == (None if cost.usd is None else pytest.approx(cost.usd))
    assert (outcome.cost.tokens, outcome.cost.input_tokens) == (cost.tokens, cost.input_tokens)
    assert outcome.cost.model == cost.model
    assert "DEPTH = 3" in world.canvas()
    assert tool is None or (tool in [called for called, _ in world.told.tools])
    assert "Done." in world.told.text


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize(
    ("name", "transcript", "words"),
    [
        ("claude", "claude-usage.jsonl", "usage limit"),
        ("claude", "claude-429.jsonl", "40 s"),
        ("codex", "codex-usage.jsonl", "usage limit"),
        ("pi", "pi-usage.jsonl", "usage limit"),
        ("gemini", "gemini-usage.jsonl", "quota"),
    ],
)
def test_a_limit_parks_whatever_the_exit_code(
    world: World, name: str, transcript: str, words: str, code: int
) -> None:
    backend = world.client(name, world.plays(transcript, code=code))
    with pytest.raises(ParkedError, match=words) as caught:
        backend.edit(world.task(), world.told)
    assert caught.value.until > time.time()


def test_a_client_that_waits_for_a_limit_by_itself_is_ended_and_its_agent_parked(world: World) -> None:
    backend = world.client("claude", world.plays("claude-429.jsonl").replace("exit 0", "sleep 60"))
    began = time.time()
    with pytest.raises(ParkedError) as caught:
        backend.edit(world.task(), world.told)
    assert time.time() - began < 20
    assert 30 < caught.value.until - began < 60


def test_a_quota_names_its_time(world: World) -> None:
    with pytest.raises(ParkedError) as caught:
        world.client("gemini", world.plays("gemini-usage.jsonl")).edit(world.task(), world.told)
    assert 7000 < caught.value.until - time.time() < 7200


@pytest.mark.parametrize(
    ("name", "transcript"), [("opencode", "opencode-401.jsonl"), ("aider", "aider-401.txt")]
)
@pytest.mark.parametrize("code", [0, 1])
def test_another_failure_is_one_line(world: World, name: str, transcript: str, code: int) -> None:
    with pytest.raises(BackendError, match=r"(?i)authentication") as caught:
        world.client(name, world.plays(transcript, code=code)).edit(world.task(), world.told)
    assert not isinstance(caught.value, ParkedError)
    assert "\n" not in str(caught.value)


def test_a_refusal_is_an_outcome(world: World) -> None:
    outcome = world.client("claude", world.plays("claude-refusal.jsonl", code=1)).edit(
        world.task(), world.told
    )
    assert outcome.result is EditResult.REFUSED
    with pytest.raises(BackendError, match="refused"):
        world.client("claude").plan(world.brief(), world.told)


def test_an_edit_that_is_said_and_not_made_is_none(world: World) -> None:
    outcome = world.client("codex", world.plays("codex-edit.jsonl")).edit(world.task(), world.told)
    assert outcome.result is EditResult.UNCHANGED
    assert "nothing changed" in outcome.explanation


def test_an_end_without_a_terminal_event_is_no_success(world: World) -> None:
    cut = 'echo \'{"type":"thread.started","thread_id":"t"}\'; printf "\\033[31mgone %s\\n" "$OPENAI_API_KEY" >&2'
    world.env["OPENAI_API_KEY"] = "sk-secret-of-openai"
    with pytest.raises(BackendError, match=r"exit code 0 and never said how; gone …$"):
        world.client("codex", cut).edit(world.task(), world.told)
