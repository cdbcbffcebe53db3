"""Anthropic's Messages: what the API takes, refuses and streams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.stand_in.dialect import Event, arguments_object, arguments_text, new_id, text_of
from tests.stand_in.script import Asked, Said, Status, Stop, ToolResult, Turn, UsageLimit, pieces

KINDS = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 529: "overloaded_error",
}  # fmt: skip
MOST_CACHE_MARKS = 4


class Messages:
    """POST /v1/messages."""

    def asked(self, path: str, body: Mapping[str, Any]) -> Asked:
        """See Dialect."""
        messages = body.get("messages", [])
        return Asked(
            protocol="anthropic",
            model=body.get("model", ""),
            system=text_of(body.get("system")),
            messages=tuple(Said(m["role"], text_of(m["content"])) for m in messages),
            tools=tuple(tool["name"] for tool in body.get("tools") or ()),
            tool_results=tuple(
                ToolResult(b["tool_use_id"], text_of(b.get("content")), bool(b.get("is_error")))
                for message in messages
                for b in _blocks(message, "tool_result")
            ),
            stream=bool(body.get("stream")),
            body=body,
        )

    def problem(self, body: Mapping[str, Any]) -> str:
        """What the real API answers with 400, as far as a client of ours could get it wrong."""
        messages = body.get("messages") or []
        if not isinstance(body.get("max_tokens"), int):
            return "max_tokens: Field required"
        if not messages or messages[0]["role"] != "user":
            return "messages: first message must use the user role"
        for block in _all_blocks(body):
            if block.get("type") == "text" and not block.get("text"):
                return "messages: text content blocks must be non-empty"
        if str(body).count("'cache_control'") > MOST_CACHE_MARKS:
            return f"A maximum of {MOST_CACHE_MARKS} blocks with cache_control may be provided"
        return _unanswered(messages)

    def whole(self, turn: Turn, asked: Asked) -> Mapping[str, Any]:
        """See Dialect."""
        return {
            **_head(asked, turn), "content": _content(turn), "stop_reason": _stop(turn),
            "stop_details": _details(turn), "usage": _usage(turn, turn.usage.output),
        }  # fmt: skip

    def events(self, turn: Turn, asked: Asked) -> Iterator[Event]:
        """See Dialect."""
        start = {**_head(asked, turn), "content": [], "stop_reason": None, "usage": _usage(turn, 1)}
        yield "message_start", {"type": "message_start", "message": start}
        yield "ping", {"type": "ping"}
        arguments = iter([arguments_text(call) for call in turn.tools])
        for index, block in enumerate(_content(turn)):
            yield from _block_events(index, block, arguments)
        delta = {"stop_reason": _stop(turn), "stop_sequence": None, "stop_details": _details(turn)}
        usage = _usage(turn, turn.usage.output)
        yield "message_delta", {"type": "message_delta", "delta": delta, "usage": usage}
        yield "message_stop", {"type": "message_stop"}

    def error(self, status: Status) -> Mapping[str, Any]:
        """See Dialect."""
        kind = status.kind or KINDS.get(status.code, "api_error")
        error: dict[str, Any] = {"type": kind, "message": status.message or kind}
        if status.detail:
            error["details"] = {"error_code": status.detail}
        return {"type": "error", "error": error, "request_id": new_id("req")}

    def limit(self, limit: UsageLimit) -> Status:
        """A subscription's or an account's limit, with its reset in a header."""
        headers = {"anthropic-ratelimit-unified-status": "rejected"}
        if limit.resets_at is not None:
            headers["anthropic-ratelimit-unified-reset"] = str(int(limit.resets_at))
            reset = datetime.fromtimestamp(int(limit.resets_at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            headers["anthropic-ratelimit-tokens-reset"] = reset
        return Status(429, "This request would exceed your account's usage limit.", headers=headers)


def _blocks(message: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    content = message["content"]
    return [] if isinstance(content, str) else [block for block in content if block.get("type") == kind]


def _all_blocks(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for content in (body.get("system"), *(message["content"] for message in body["messages"])):
        if isinstance(content, list):
            yield from content


def _unanswered(messages: list[Mapping[str, Any]]) -> str:
    for message, following in zip(messages, [*messages[1:], None], strict=True):
        called = {block["id"] for block in _blocks(message, "tool_use")}
        answered = {b["tool_use_id"] for b in _blocks(following, "tool_result")} if following else set()
        if called - answered:
            return (
                f"`tool_use` ids without `tool_result` blocks immediately after: {sorted(called - answered)}"
            )
        if answered - called:
            return f"unexpected `tool_use_id` in `tool_result` blocks: {sorted(answered - called)}"
    return ""


def _head(asked: Asked, turn: Turn) -> dict[str, Any]:
    return {
        "id": new_id("msg"), "type": "message", "role": "assistant", "model": asked.model, "stop_sequence": None,
    }  # fmt: skip


def _content(turn: Turn) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if turn.thinking:
        blocks.append({"type": "thinking", "thinking": turn.thinking, "signature": "c2lnbmVk"})
    if turn.text:
        blocks.append({"type": "text", "text": turn.text})
    for call in turn.tools:
        block = {
            "type": "tool_use",
            "id": new_id("toolu"),
            "name": call.name,
            "input": arguments_object(call),
        }
        blocks.append(block)
    return blocks


def _block_events(index: int, block: dict[str, Any], arguments: Iterator[str]) -> Iterator[Event]:
    match block["type"]:
        case "thinking":
            empty: dict[str, object] = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        case "text":
            empty = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
        case _:
            empty = {**block, "input": {}}
            parts = ["", *pieces(next(arguments))]
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in parts]
    yield "content_block_start", {"type": "content_block_start", "index": index, "content_block": empty}
    for delta in deltas:
        yield "content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta}
    yield "content_block_stop", {"type": "content_block_stop", "index": index}


def _stop(turn: Turn) -> str:
    return turn.stop or ("tool_use" if turn.tools else "end_turn")


def _details(turn: Turn) -> dict[str, Any] | None:
    if turn.stop is not Stop.REFUSAL:
        return None
    return {"type": "refusal", "category": None, "explanation": "the stand-in will not"}


def _usage(turn: Turn, output: int) -> dict[str, Any]:
    return {
        "input_tokens": turn.usage.input, "output_tokens": output, "service_tier": "standard",
        "cache_creation_input_tokens": turn.usage.cache_write, "cache_read_input_tokens": turn.usage.cache_read,
    }  # fmt: skip
