"""Gemini: parts of contents, and no ids for the calls of tools."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tests.stand_in.dialect import Event, arguments_object, new_id, text_of
from tests.stand_in.script import Asked, Said, Status, Stop, ToolResult, Turn, UsageLimit, pieces

KINDS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE",
}  # fmt: skip
FINISHES = {Stop.NATURAL: "STOP", Stop.REFUSAL: "SAFETY", Stop.MAX_TOKENS: "MAX_TOKENS"}
PATH = re.compile(r"/models/([^/:]+):(generateContent|streamGenerateContent|countTokens)$")


class Gemini:
    """POST /v1beta/models/{model}:generateContent and :streamGenerateContent."""

    def asked(self, path: str, body: Mapping[str, Any]) -> Asked:
        """See Dialect."""
        found = PATH.search(path)
        assert found is not None
        contents = body.get("contents", [])
        contents = [contents] if isinstance(contents, Mapping) else contents
        system = body.get("systemInstruction") or body.get("system_instruction") or {}
        return Asked(
            protocol="gemini",
            model=found[1],
            system=text_of(system if isinstance(system, str) else system.get("parts")),
            messages=tuple(Said(c.get("role", "user"), text_of(c.get("parts"))) for c in contents),
            tools=tuple(
                declared["name"]
                for tool in body.get("tools") or ()
                for declared in tool.get("functionDeclarations") or ()
            ),
            tool_results=tuple(
                ToolResult(
                    part["functionResponse"]["name"], json.dumps(part["functionResponse"].get("response"))
                )
                for content in contents
                for part in content.get("parts", [])
                if "functionResponse" in part
            ),
            stream=found[2] == "streamGenerateContent",
            body=body,
        )

    def problem(self, body: Mapping[str, Any]) -> str:
        """See Dialect."""
        return "" if body.get("contents") else "contents is not specified"

    def whole(self, turn: Turn, asked: Asked) -> Mapping[str, Any]:
        """See Dialect."""
        parts = [{"text": turn.text}] if turn.text else []
        return _answer(asked, turn, [*parts, *_calls(turn)], last=True)

    def events(self, turn: Turn, asked: Asked) -> Iterator[Event]:
        """See Dialect."""
        for piece in pieces(turn.text):
            yield None, _answer(asked, turn, [{"text": piece}], last=False)
        yield None, _answer(asked, turn, _calls(turn), last=True)

    def error(self, status: Status) -> Mapping[str, Any]:
        """See Dialect."""
        kind = status.kind or KINDS.get(status.code, "INTERNAL")
        error: dict[str, Any] = {"code": status.code, "message": status.message or kind, "status": kind}
        if status.retry_after is not None:
            delay = {
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": f"{status.retry_after:g}s",
            }
            error["details"] = [delay]
        return {"error": error}

    def limit(self, limit: UsageLimit) -> Status:
        """See Dialect."""
        wait = None if limit.resets_at is None else max(limit.resets_at - time.time(), 0.0)
        return Status(429, "You exceeded your current quota.", retry_after=wait)


def _calls(turn: Turn) -> list[dict[str, Any]]:
    return [{"functionCall": {"name": call.name, "args": arguments_object(call)}} for call in turn.tools]


def _answer(asked: Asked, turn: Turn, parts: list[dict[str, Any]], *, last: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    answer: dict[str, Any] = {
        "candidates": [candidate],
        "modelVersion": asked.model,
        "responseId": new_id("g"),
    }
    if last:
        usage = turn.usage
        sent = usage.input + usage.cache_read + usage.cache_write
        candidate["finishReason"] = FINISHES[turn.stop]
        answer["usageMetadata"] = {
            "promptTokenCount": sent, "candidatesTokenCount": usage.output,
            "totalTokenCount": sent + usage.output, "cachedContentTokenCount": usage.cache_read,
        }  # fmt: skip
    return answer
