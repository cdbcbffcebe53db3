"""Limits, overload, errors, hangs and broken streams: what parks an agent, what is tried again, what is said."""

from __future__ import annotations

import time
from typing import Any

import pytest

from roles.backend import BackendError, EditResult, ParkedError
from roles.backends.anthropic.failures import until_of
from tests.roles.backends.anthropic.conftest import CUT_DEPTH, KEY, World, answer
from tests.stand_in.script import Closed, Cut, Hang, Malformed, Status, ToolCall, Turn, Usage, UsageLimit

HOUR = 3600.0


def parked(world: World, script: list[Any]) -> tuple[ParkedError, float]:
    """How it was parked, and for how long."""
    with pytest.raises(ParkedError) as caught:
        world.edit(script)
    return caught.value, caught.value.until - time.time()


def test_a_rate_limit_parks_until_the_time_it_names(world: World) -> None:
    error, wait = parked(world, [CUT_DEPTH, Status(429, "Slow down.", retry_after=120)])
    assert 115 < wait <= 120 and "Slow down." in str(error)
    assert len(world.server.asked) == 2  # the SDK does not sit the two minutes out
    assert error.cost.input_tokens == 100 and error.cost.output_tokens == 20
    assert "failed" in world.transcripts[0][-1]


def test_a_short_rate_limit_is_waited_for(world: World) -> None:
    script = [Status(429, retry_after=0.05), CUT_DEPTH, answer()]
    assert world.edit(script).result is EditResult.EDITED


def test_a_usage_limit_parks_until_its_reset(world: World) -> None:
    reset = int(time.time() + 3 * HOUR)
    error, wait = parked(world, [UsageLimit(reset)])
    assert error.until == reset and wait > 2.9 * HOUR and len(world.server.asked) == 1


def test_a_spend_limit_names_its_day_in_words(world: World) -> None:
    text = "You have reached your specified API usage limits. You will regain access on {} at 00:00 UTC."
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 5 * 24 * HOUR))
    _, wait = parked(world, [Status(400, text.format(day))])
    assert 4 * 24 * HOUR <= wait <= 5 * 24 * HOUR


def test_a_spend_limit_without_a_day_is_looked_at_every_hour(world: World) -> None:
    _, wait = parked(world, [Status(429, detail="enforced_spend_limit_reached")] * 3)
    assert 0.9 * HOUR < wait <= HOUR


def test_overload_parks_for_a_minute_after_two_retries(world: World) -> None:
    error, wait = parked(world, [Status(529)] * 3)
    assert 55 < wait <= 60 and "overloaded" in str(error) and len(world.server.asked) == 3


def test_an_overload_in_the_middle_of_a_stream_parks_too(world: World) -> None:
    error, wait = parked(world, [Cut(Turn("so far"), 4, error=Status(529, "Overloaded"))])
    assert 55 < wait <= 60 and error.cost.input_tokens == 100
    parked(world, [Cut(Turn("so far"), 4, error=Status(429))])


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "7"}, 7), ({"retry-after-ms": "2500"}, 2.5), ({}, 60), ({"retry-after": "soon"}, 60),
        ({"retry-after": "Thu, 01 Jan 1970 00:20:00 GMT"}, 200),
        ({"anthropic-ratelimit-requests-reset": "1970-01-01T00:18:20Z"}, 100),
        (
            {
                "anthropic-ratelimit-requests-reset": "1970-01-01T00:18:20Z",
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-tokens-reset": "1970-01-01T09:00:00Z",
                "anthropic-ratelimit-tokens-remaining": "9",
            },
            100,
        ),
        ({"anthropic-ratelimit-unified-reset": "1600", "anthropic-ratelimit-unified-status": "rejected"}, 600),
        ({"anthropic-ratelimit-tokens-reset": "later"}, 60),
    ],
)  # fmt: skip
def test_when_a_limit_ends(headers: dict[str, str], wait: float) -> None:
    assert until_of(headers, 1_000.0) == pytest.approx(1_000.0 + wait)


def test_an_absurd_wait_is_no_prison(world: World) -> None:
    _, wait = parked(world, [Status(429, retry_after=1e12)])
    assert wait < 33 * 24 * HOUR


def test_two_internal_errors_and_it_goes_on(world: World) -> None:
    assert world.edit([Status(500), Status(500), CUT_DEPTH, answer()]).result is EditResult.EDITED


def test_a_third_is_said(world: World) -> None:
    with pytest.raises(BackendError, match=r"failed \(500\): boom") as caught:
        world.edit([Status(500, "boom\nboom")] * 3)
    assert not isinstance(caught.value, ParkedError) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "broken",
    [
        Cut(),
        Cut(clean=True),
        Cut(CUT_DEPTH, 9),
        Malformed(),
        Hang(Turn("hm"), 3),
        Hang(),
        Cut(Turn("hm"), 3, error=Status(500)),
    ],
    ids=["cut", "cut-cleanly", "cut-in-a-call", "malformed", "hang-in-a-turn", "hang", "error-in-a-turn"],
)
def test_a_broken_turn_is_asked_for_once_more(world: World, broken: Any) -> None:
    assert world.edit([broken, CUT_DEPTH, answer()]).result is EditResult.EDITED
    assert "asking once more" in world.told.said[0]
    before = len(world.server.asked)
    with pytest.raises(BackendError, match="answered twice, but not whole"):
        world.edit([broken, broken])
    assert len(world.server.asked) == before + 2


@pytest.mark.parametrize("after", [0, 2, 4])
@pytest.mark.parametrize(
    "data",
    [
        "[]", "7", "null", '{"type": "message_start"}', '{"type": "message_start", "message": {"content": null}}',
        '{"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "x"}}',
        '{"type": "content_block_start", "index": 0}', '{"type": "message_delta", "delta": {}}', "{}",
    ],
)  # fmt: skip
def test_events_of_any_shape_break_a_turn_at_the_most(world: World, data: str, after: int) -> None:
    odd = Malformed(answer("thought", explanation="no"), after, data)
    assert world.edit([odd, CUT_DEPTH, answer()]).result in (EditResult.THOUGHT, EditResult.EDITED)
    world.server.script([])


def test_a_hang_ends_by_silence_and_a_slow_answer_does_not(world: World) -> None:
    began = time.monotonic()
    with pytest.raises(BackendError, match=r"silent for 0\.4 s"):
        world.edit([Hang(), Hang()])
    assert time.monotonic() - began < 4
    assert (
        world.edit([Turn(CUT_DEPTH.text, CUT_DEPTH.tools, delay_s=0.2), answer()]).result is EditResult.EDITED
    )


def test_a_broken_turn_is_paid_for(world: World) -> None:
    cost = world.edit(
        [Cut(Turn("so", usage=Usage(70, 9, 5, 3)), 3), answer("thought", explanation="no")]
    ).cost
    assert (cost.input_tokens, cost.cache_read_tokens, cost.cache_write_tokens) == (170, 5, 3)


def test_a_closed_connection_is_tried_again_by_the_sdk(world: World) -> None:
    assert world.edit([Closed(), CUT_DEPTH, answer()]).result is EditResult.EDITED
    with pytest.raises(BackendError, match="no connection to the Anthropic API"):
        world.edit([Closed()] * 3)


def test_arguments_that_are_no_json(world: World) -> None:
    garbled = Turn(tools=[ToolCall("edit", '{"path": "train.py", "old": }}')])
    assert world.edit([garbled, CUT_DEPTH, answer()]).result is EditResult.EDITED


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (Status(401, "invalid x-api-key"), "refuses ANTHROPIC_API_KEY"), (Status(403), "`autoresearch-tui doctor`"),
        (Status(404, "model: claude-sonnet-9"), "choose another"), (Status(402), "mend its billing"),
        (Status(400, "Your credit balance is too low"), "mend its billing"),
        (Status(400, "prompt is too long"), "refuses the request (400): prompt is too long"),
        (Status(413), "refuses the request (413)"), (Status(401, f"no such key: {KEY}"), "[key]"),
    ],
)  # fmt: skip
def test_what_a_person_has_to_mend_is_said_in_one_line(world: World, status: Status, said: str) -> None:
    with pytest.raises(BackendError) as caught:
        world.edit([status])
    assert said in str(caught.value) and "\n" not in str(caught.value) and KEY not in str(caught.value)
    assert not isinstance(caught.value, ParkedError)


def test_a_missing_key_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(BackendError, match=r"ANTHROPIC_API_KEY is not set .*doctor"):
        world.edit([])
    assert not world.server.asked


def test_no_server_at_all(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(BackendError, match="ANTHROPIC_BASE_URL"):
        world.edit([])
