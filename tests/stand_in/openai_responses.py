"""OpenAI's Responses: items, and a stream of numbered events about them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tests.stand_in.dialect import Event, arguments_text, new_id, text_of
from tests.stand_in.openai_errors import error_body, usage_limit
from tests.stand_in.script import Asked, Said, Status, Stop, ToolCall, ToolResult, Turn, UsageLimit, pieces


class Responses:
    """POST /v1/responses."""

    def asked(self, path: str, body: Mapping[str, Any]) -> Asked:
        """See Dialect."""
        items = body.get("input", [])
        items = [{"role": "user", "content": items}] if isinstance(items, str) else items
        spoken = [Said(item["role"], text_of(item.get("content"))) for item in items if "role" in item]
        system = [said.text for said in spoken if said.role in ("system", "developer")]
        return Asked(
            protocol="responses",
            model=body.get("model", ""),
            system="\n".join([body.get("instructions") or "", *system]).strip(),
            messages=tuple(said for said in spoken if said.role not in ("system", "developer")),
            tools=tuple(name for name, _ in _offered(body)),
            tool_results=tuple(
                ToolResult(item["call_id"], _output(item.get("output")))
                for item in items
                if str(item.get("type", "")).endswith("_call_output")
            ),
            stream=bool(body.get("stream")),
            body=body,
        )

    def problem(self, body: Mapping[str, Any]) -> str:
        """See Dialect."""
        items = body.get("input", [])
        if isinstance(items, str):
            return ""
        called = {item["call_id"] for item in items if str(item.get("type", "")).endswith("_call")}
        answered = {item["call_id"] for item in items if str(item.get("type", "")).endswith("_call_output")}
        return (
            f"No tool output found for function call {sorted(called - answered)}" if called - answered else ""
        )

    def whole(self, turn: Turn, asked: Asked) -> Mapping[str, Any]:
        """See Dialect."""
        return _response(asked, turn, new_id("resp"), _items(turn, asked))

    def events(self, turn: Turn, asked: Asked) -> Iterator[Event]:
        """See Dialect."""
        for number, event in enumerate(self._events(turn, asked)):
            yield event["type"], {**event, "sequence_number": number}

    def _events(self, turn: Turn, asked: Asked) -> Iterator[dict[str, Any]]:
        response_id, items = new_id("resp"), _items(turn, asked)
        begun = {**_response(asked, turn, response_id, []), "status": "in_progress", "usage": None}
        begun["incomplete_details"] = None
        yield {"type": "response.created", "response": begun}
        yield {"type": "response.in_progress", "response": begun}
        for index, item in enumerate(items):
            yield from _item_events(index, item)
        response = _response(asked, turn, response_id, items)
        yield {"type": f"response.{response['status']}", "response": response}

    def error(self, status: Status) -> Mapping[str, Any]:
        """See Dialect."""
        return error_body(status)

    def limit(self, limit: UsageLimit) -> Status:
        """See Dialect."""
        return usage_limit(limit)


def _offered(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for tool in body.get("tools") or ():
        if tool.get("type") == "namespace":
            yield from _offered(tool)
        else:
            yield tool.get("name") or tool["type"], tool["type"]


def _output(output: object) -> str:
    return output if isinstance(output, str) else text_of(output) or json.dumps(output)


def _items(turn: Turn, asked: Asked) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if turn.thinking:
        summary = [{"type": "summary_text", "text": turn.thinking}]
        items.append({"id": new_id("rs"), "type": "reasoning", "summary": summary})
    if turn.text or turn.stop is Stop.REFUSAL:
        part: dict[str, Any] = {"type": "output_text", "text": turn.text, "annotations": []}
        if turn.stop is Stop.REFUSAL:
            part = {"type": "refusal", "refusal": turn.text or "the stand-in will not"}
        message = {"id": new_id("msg"), "type": "message", "status": "completed", "role": "assistant"}
        items.append({**message, "content": [part]})
    kinds = dict(_offered(asked.body))
    return [*items, *(_call(call, kinds.get(call.name, "function")) for call in turn.tools)]


def _call(call: ToolCall, kind: str) -> dict[str, Any]:
    given = {"status": "completed", "call_id": new_id("call"), "name": call.name}
    if kind != "custom":
        return {"id": new_id("fc"), "type": "function_call", **given, "arguments": arguments_text(call)}
    # A free-form tool takes a text; `{"input": …}` serves scripts that speak to every client alike.
    text = call.arguments if isinstance(call.arguments, str) else str(call.arguments["input"])
    return {"id": new_id("ctc"), "type": "custom_tool_call", **given, "input": text}


def _item_events(index: int, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    at = {"item_id": item["id"], "output_index": index}
    match item["type"]:
        case "message":
            empty, between = (
                {**item, "status": "in_progress", "content": []},
                list(_part_events(at, item["content"][0])),
            )
        case "function_call":
            empty, name = (
                {**item, "status": "in_progress", "arguments": ""},
                "response.function_call_arguments",
            )
            between = list(_text_events(at, name, "arguments", item["arguments"]))
        case "custom_tool_call":
            empty, name = {**item, "status": "in_progress", "input": ""}, "response.custom_tool_call_input"
            between = list(_text_events(at, name, "input", item["input"]))
        case _:
            empty, between = {**item, "summary": []}, []
    yield {"type": "response.output_item.added", "output_index": index, "item": empty}
    yield from between
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _part_events(at: dict[str, Any], part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    at = {**at, "content_index": 0}
    key = "text" if part["type"] == "output_text" else "refusal"
    yield {"type": "response.content_part.added", **at, "part": {**part, key: ""}}
    yield from _text_events(at, f"response.{part['type']}", key, part[key])
    yield {"type": "response.content_part.done", **at, "part": part}


def _text_events(at: dict[str, Any], name: str, key: str, text: str) -> Iterator[dict[str, Any]]:
    for piece in pieces(text):
        yield {"type": f"{name}.delta", **at, "delta": piece}
    yield {"type": f"{name}.done", **at, key: text}


def _response(asked: Asked, turn: Turn, response_id: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    cut = turn.stop is Stop.MAX_TOKENS
    usage = turn.usage
    sent = usage.input + usage.cache_read + usage.cache_write
    return {
        "id": response_id, "object": "response", "created_at": int(time.time()), "model": asked.model,
        "status": "incomplete" if cut else "completed", "error": None, "output": items,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None, "parallel_tool_calls": True,
        "instructions": None, "metadata": {}, "tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0,
        "usage": {
            "input_tokens": sent, "input_tokens_details": {"cached_tokens": usage.cache_read},
            "output_tokens": usage.output, "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": sent + usage.output,
        },
    }  # fmt: skip
