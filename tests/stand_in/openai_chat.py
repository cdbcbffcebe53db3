"""OpenAI's Chat Completions, which most other providers speak too."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from tests.stand_in.dialect import Event, arguments_text, new_id, text_of
from tests.stand_in.openai_errors import error_body, usage_limit
from tests.stand_in.script import Asked, Said, Status, Stop, ToolResult, Turn, UsageLimit, pieces


class Chat:
    """POST /v1/chat/completions."""

    def asked(self, path: str, body: Mapping[str, Any]) -> Asked:
        """See Dialect."""
        spoken = [Said(m["role"], text_of(m.get("content"))) for m in body.get("messages", [])]
        return Asked(
            protocol="chat",
            model=body.get("model", ""),
            system="\n".join(said.text for said in spoken if said.role in ("system", "developer")),
            messages=tuple(said for said in spoken if said.role in ("user", "assistant")),
            tools=tuple(tool["function"]["name"] for tool in body.get("tools") or ()),
            tool_results=tuple(
                ToolResult(m["tool_call_id"], text_of(m.get("content")))
                for m in body.get("messages", [])
                if m["role"] == "tool"
            ),
            stream=bool(body.get("stream")),
            body=body,
        )

    def problem(self, body: Mapping[str, Any]) -> str:
        """See Dialect."""
        waiting: set[str] = set()
        for message in body.get("messages", []):
            if message["role"] == "tool":
                waiting.discard(message["tool_call_id"])
            elif waiting:
                break
            waiting |= {call["id"] for call in message.get("tool_calls") or ()}
        return f"tool_call_ids did not have response messages: {sorted(waiting)}" if waiting else ""

    def whole(self, turn: Turn, asked: Asked) -> Mapping[str, Any]:
        """See Dialect."""
        message: dict[str, Any] = {"role": "assistant", "content": turn.text or None, "refusal": None}
        if turn.tools:
            message["tool_calls"] = _calls(turn)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(turn)}
        return {**_head(asked, "chat.completion"), "choices": [choice], "usage": _usage(turn)}

    def events(self, turn: Turn, asked: Asked) -> Iterator[Event]:
        """See Dialect."""
        head = _head(asked, "chat.completion.chunk")

        def chunk(delta: dict[str, Any], finish: str | None = None) -> Event:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return None, {**head, "choices": [choice]}

        yield chunk({"role": "assistant", "content": "" if turn.text else None})
        for piece in pieces(turn.text):
            yield chunk({"content": piece})
        for index, call in enumerate(_calls(turn)):
            function = call["function"]
            begun = {**call, "index": index, "function": {**function, "arguments": ""}}
            yield chunk({"tool_calls": [begun]})
            for piece in pieces(function["arguments"]):
                yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        yield chunk({}, _finish(turn))
        if (asked.body.get("stream_options") or {}).get("include_usage"):
            yield None, {**head, "choices": [], "usage": _usage(turn)}
        yield None, "[DONE]"

    def error(self, status: Status) -> Mapping[str, Any]:
        """See Dialect."""
        return error_body(status)

    def limit(self, limit: UsageLimit) -> Status:
        """See Dialect."""
        return usage_limit(limit)


def _head(asked: Asked, kind: str) -> dict[str, Any]:
    return {"id": new_id("chatcmpl"), "object": kind, "created": int(time.time()), "model": asked.model}


def _calls(turn: Turn) -> list[dict[str, Any]]:
    return [
        {
            "id": new_id("call"),
            "type": "function",
            "function": {"name": call.name, "arguments": arguments_text(call)},
        }
        for call in turn.tools
    ]


def _finish(turn: Turn) -> str:
    match turn.stop:
        case Stop.REFUSAL:
            return "content_filter"
        case Stop.MAX_TOKENS:
            return "length"
    return "tool_calls" if turn.tools else "stop"


def _usage(turn: Turn) -> dict[str, Any]:
    usage = turn.usage
    sent = usage.input + usage.cache_read + usage.cache_write
    return {
        "prompt_tokens": sent, "completion_tokens": usage.output, "total_tokens": sent + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
    }  # fmt: skip
