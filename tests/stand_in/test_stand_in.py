"""The stand-in against the real SDK where there is one, and event by event where there is none."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.stand_in.script import (
    Asked,
    Closed,
    Cut,
    Hang,
    Malformed,
    Status,
    Stop,
    ToolCall,
    Turn,
    Usage,
    UsageLimit,
)
from tests.stand_in.server import StandIn

KEY = "sk-dummy-0123456789"
TOOL = {"name": "read", "description": "read", "input_schema": {"type": "object", "properties": {}}}
READS = Turn("let me see", [ToolCall("read", {"path": "träin.py"})], usage=Usage(7, 5, 30, 11))
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
# How each protocol asks the same thing.
ASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "anthropic": ("/v1/messages", {"model": "m", "max_tokens": 9, "messages": HELLO, "tools": [TOOL]}),
    "responses": ("/v1/responses", {"model": "m", "input": "hello", "tools": [{"type": "function", **TOOL}]}),
    "chat": ("/v1/chat/completions", {"model": "m", "messages": HELLO, "tools": [{"function": TOOL}]}),
    "gemini": (
        "/v1beta/models/m:generateContent",
        {"contents": [{"parts": [{"text": "hello"}]}], "tools": [{"functionDeclarations": [TOOL]}]},
    ),
}


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn([]) as server:
        yield server


def client(server: StandIn, **settings: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        api_key=KEY, base_url=server.url, **{"max_retries": 0, "timeout": 1.0, **settings}
    )


def ask(server: StandIn, protocol: str, **more: Any) -> bytes:
    path, body = ASKS[protocol]
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    if more.pop("streamed", False):
        path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
        more |= {} if protocol == "gemini" else {"stream": True, "stream_options": {"include_usage": True}}
    request = urllib.request.Request(server.url + path, json.dumps({**body, **more}).encode(), headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.read()


def events(raw: bytes) -> list[Any]:
    data = [line[6:] for line in raw.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(each) for each in data if each != "[DONE]"]


def stream(server: StandIn, **settings: Any) -> anthropic.types.Message:
    with (
        client(server, **settings) as sdk,
        sdk.messages.stream(
            model="claude-sonnet-5-5", max_tokens=99, messages=HELLO, tools=[TOOL], system="be brief"
        ) as stream,
    ):
        return stream.get_final_message()


def test_the_real_sdk_reads_a_stream_and_a_whole_answer_alike(server: StandIn) -> None:
    server.script([READS, READS])
    streamed = stream(server)
    with client(server) as sdk:
        whole = sdk.messages.create(model="m", max_tokens=9, messages=HELLO, tools=[TOOL])
        assert sdk.messages.count_tokens(model="m", messages=HELLO).input_tokens > 0
        assert sdk.models.list().data[0].id == "claude-sonnet-5-5"
    for message in (streamed, whole):
        text, call = message.content
        assert text.text == "let me see" and call.name == "read" and call.input == {"path": "träin.py"}
        assert message.stop_reason == "tool_use"
        assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 5)
        assert (message.usage.cache_read_input_tokens, message.usage.cache_creation_input_tokens) == (30, 11)
    asked = server.asked[0]
    assert (asked.protocol, asked.system, asked.tools, asked.stream) == (
        "anthropic",
        "be brief",
        ("read",),
        True,
    )
    assert asked.messages[0].text == "hello" and not server.faults


def test_keys_are_kept_as_fingerprints_only(server: StandIn) -> None:
    server.script([Turn("a"), Turn("b")])
    stream(server)
    assert server.asked[0].key and KEY not in repr([vars(asked) for asked in server.asked])
    ask(server, "chat", messages=[{"role": "user", "content": KEY}])
    assert server.faults == ["the key stands in the body of a request"]


@pytest.mark.parametrize("protocol", ASKS)
def test_a_tool_that_was_not_offered_is_a_fault(server: StandIn, protocol: str) -> None:
    server.script([Turn(tools=[ToolCall("bash", {"command": "rm"})])])
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(server, protocol)
    caught.value.close()
    assert caught.value.code == 500 and "'bash'" in server.faults[0]


@pytest.mark.parametrize("protocol", ASKS)
def test_every_protocol_answers_whole_and_in_pieces(server: StandIn, protocol: str) -> None:
    server.script([READS, READS])
    whole, streamed = json.loads(ask(server, protocol)), events(ask(server, protocol, streamed=True))
    assert not server.faults and [asked.stream for asked in server.asked] == [False, True]
    assert all(asked.protocol == protocol and asked.tools == ("read",) for asked in server.asked)
    assert all(asked.messages[0].text == "hello" for asked in server.asked)
    match protocol:
        case "responses":
            names = [event["type"] for event in streamed]
            assert names[:2] == ["response.created", "response.in_progress"]
            assert names[-1] == "response.completed"
            deltas = [e["delta"] for e in streamed if e["type"] == "response.function_call_arguments.delta"]
            done = next(e for e in streamed if e["type"] == "response.function_call_arguments.done")
            assert "".join(deltas) == done["arguments"] == json.dumps({"path": "träin.py"})
            assert [event["sequence_number"] for event in streamed] == list(range(len(streamed)))
            for response in (whole, streamed[-1]["response"]):
                assert [item["type"] for item in response["output"]] == ["message", "function_call"]
                assert response["usage"]["input_tokens"] == 48
                assert response["usage"]["input_tokens_details"] == {"cached_tokens": 30}
        case "chat":
            text = "".join(e["choices"][0]["delta"].get("content") or "" for e in streamed if e["choices"])
            calls = [
                c for e in streamed if e["choices"] for c in e["choices"][0]["delta"].get("tool_calls", [])
            ]
            assert text == "let me see" and calls[0]["function"]["name"] == "read"
            assert json.loads("".join(c["function"]["arguments"] for c in calls)) == {"path": "träin.py"}
            assert streamed[-2]["choices"][0]["finish_reason"] == "tool_calls"
            assert streamed[-1]["usage"] == whole["usage"] and whole["usage"]["prompt_tokens"] == 48
        case "gemini":
            parts = [part for e in streamed for part in e["candidates"][0]["content"]["parts"]]
            assert parts[-1] == {"functionCall": {"name": "read", "args": {"path": "träin.py"}}}
            assert "".join(part.get("text", "") for part in parts) == "let me see"
            assert streamed[-1]["usageMetadata"] == whole["usageMetadata"]
            assert streamed[-1]["candidates"][0]["finishReason"] == "STOP"


def test_results_of_tools_are_seen_in_every_protocol(server: StandIn) -> None:
    server.script(lambda _: Turn("done"))
    use = {"type": "tool_use", "id": "t", "name": "read", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "X = 8", "is_error": True}
    ask(server, "anthropic", messages=[*HELLO, {"role": "assistant", "content": [use]},
                                       {"role": "user", "content": [result]}])  # fmt: skip
    call = {"type": "function_call", "call_id": "t", "name": "read", "arguments": "{}"}
    ask(
        server, "responses", input=[call, {"type": "function_call_output", "call_id": "t", "output": "X = 8"}]
    )
    called = {
        "role": "assistant",
        "tool_calls": [{"id": "t", "function": {"name": "read", "arguments": "{}"}}],
    }
    ask(server, "chat", messages=[*HELLO, called, {"role": "tool", "tool_call_id": "t", "content": "X = 8"}])
    part = {"functionResponse": {"name": "read", "response": {"output": "X = 8"}}}
    ask(server, "gemini", contents=[{"parts": [{"text": "hello"}]}, {"role": "user", "parts": [part]}])
    assert not server.faults and all("X = 8" in asked.tool_results[0].text for asked in server.asked)
    assert server.asked[0].tool_results[0].is_error


def test_a_call_without_a_result_is_refused(server: StandIn) -> None:
    use = {"type": "tool_use", "id": "t", "name": "read", "input": {}}
    messages = [*HELLO, {"role": "assistant", "content": [use]}, {"role": "user", "content": "go on"}]
    with client(server) as sdk, pytest.raises(anthropic.BadRequestError, match="tool_result"):
        sdk.messages.create(model="m", max_tokens=9, messages=messages, tools=[TOOL])
    assert server.faults


def test_errors_carry_their_type_and_when_to_come_back(server: StandIn) -> None:
    soon = time.time() + 3600
    server.script([Status(429, retry_after=7), Status(529), Status(500), UsageLimit(soon), Status(401)])
    with pytest.raises(anthropic.RateLimitError) as limited:
        stream(server)
    assert limited.value.response.headers["retry-after"] == "7" and limited.value.type == "rate_limit_error"
    with pytest.raises(anthropic.InternalServerError) as overloaded:
        stream(server)
    assert (overloaded.value.status_code, overloaded.value.type) == (529, "overloaded_error")
    with pytest.raises(anthropic.InternalServerError):
        stream(server)
    with pytest.raises(anthropic.RateLimitError) as used_up:
        stream(server)
    assert used_up.value.response.headers["anthropic-ratelimit-unified-reset"] == str(int(soon))
    with pytest.raises(anthropic.AuthenticationError):
        stream(server)


@pytest.mark.parametrize(
    "fault", [Cut(), Cut(clean=True), Malformed(), Closed(), Hang(), Hang(Turn("hm"), 3)], ids=repr
)
def test_streams_that_fail(server: StandIn, fault: Any) -> None:
    server.script([fault])
    try:
        message = stream(server, timeout=0.3)
    except Exception as error:
        assert (
            isinstance(error, anthropic.AnthropicError | ValueError | OSError)
            or "httpx" in type(error).__module__
        )
    else:
        assert message.stop_reason is None  # the SDK takes a clean cut for an answer; who uses it must look


@pytest.mark.parametrize("protocol", ["responses", "chat", "gemini"])
def test_other_protocols_fail_alike(server: StandIn, protocol: str) -> None:
    server.script([Cut(after_events=1), Malformed(after_events=1), Closed(), UsageLimit()])
    with pytest.raises(http.client.IncompleteRead):
        ask(server, protocol, streamed=True)
    with pytest.raises(ValueError):
        events(ask(server, protocol, streamed=True))
    with pytest.raises(OSError):
        ask(server, protocol)
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(server, protocol)
    with caught.value:
        said = caught.value.read().decode()
    assert caught.value.code == 429 and ("insufficient_quota" in said or "RESOURCE_EXHAUSTED" in said)


def test_a_refusal_and_an_answer_cut_by_its_length(server: StandIn) -> None:
    server.script([Turn("no", stop=Stop.REFUSAL), Turn("and th", stop=Stop.MAX_TOKENS)])
    assert stream(server).stop_reason == "refusal"
    assert stream(server).stop_reason == "max_tokens"


def test_a_script_sees_what_was_asked_and_a_list_ends(server: StandIn) -> None:
    def script(asked: Asked) -> Turn:
        return Turn(f"you said {asked.messages[-1].text}")

    server.script(script)
    assert stream(server).content[0].text == "you said hello"
    server.script([])
    with pytest.raises(anthropic.InternalServerError):
        stream(server)
    assert "the script has 0 turns" in server.faults[0]
