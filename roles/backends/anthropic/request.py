"""One turn of the model: asked as a stream, whole or broken; what it cost is known either way."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

import anthropic
import httpx2
from anthropic.types import Message, ModelParam

from roles.backend import Cost, Report
from roles.backends.anthropic.failures import broke_midway, failure_of, retry_after_s, until_of

CONNECT_S = 10.0
LONGEST_RETRY_WAIT_S = 10.0  # a longer one is the agent's to sit out: parked, and seen to be


# What the SDK lets through of events that it can't put together.
_UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, RuntimeError, AssertionError)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model called."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole turn."""

    content: list[dict[str, Any]]  # as it goes back to the API
    text: str
    calls: tuple[ToolCall, ...]
    stop: str
    refusal: str
    cost: Cost


class BrokenStreamError(Exception):
    """A turn that did not come whole."""

    def __init__(self, why: str, cost: Cost) -> None:
        super().__init__(why)
        self.cost = cost


class _SilentError(Exception):
    """Nothing came for too long."""


@dataclass(slots=True)
class MessagesClient:
    """The SDK's client, and what every turn of a step has in common."""

    client: anthropic.Anthropic
    model: str
    silence_s: float

    def turn(
        self, system: list[dict[str, Any]], messages: list[dict[str, Any]], tools: Sequence[dict[str, Any]],
        max_tokens: int, report: Report,
    ) -> Reply:  # fmt: skip
        """One turn. Raises BrokenStreamError, or BackendError when the API will not."""
        message: Message | None = None
        try:
            with self.client.messages.stream(
                model=self.model,
                max_tokens=max_tokens,
                system=cast(Any, system),
                messages=cast(Any, messages),
                tools=cast(Any, list(tools)) if tools else anthropic.omit,
                timeout=httpx2.Timeout(self.silence_s, connect=min(CONNECT_S, self.silence_s)),
            ) as stream:
                for event in stream:
                    if message is not None or event.type == "message_start":
                        message = stream.current_message_snapshot
                    if event.type == "text":
                        report.stream(event.text)
            report.stream("\n")
        except anthropic.AnthropicError as error:
            if isinstance(error, anthropic.APIStatusError) and broke_midway(error):
                raise BrokenStreamError("the API failed in the middle of it", self._cost(message)) from None
            raise failure_of(error, time.time(), self._cost(message), self.model) from None
        except (_SilentError, httpx2.TimeoutException):
            raise BrokenStreamError(f"silent for {self.silence_s:g} s", self._cost(message)) from None
        except (httpx2.HTTPError, OSError):
            raise BrokenStreamError("the connection broke off", self._cost(message)) from None
        except _UNREADABLE:
            raise BrokenStreamError("what came could not be read", self._cost(message)) from None
        if message is None or message.stop_reason is None:
            raise BrokenStreamError("the stream ended early", self._cost(message))
        return _reply(message, self._cost(message))

    def _cost(self, message: Message | None) -> Cost:
        usage = getattr(message, "usage", None)  # the SDK builds messages unchecked
        name = getattr(message, "model", None)
        model = name if isinstance(name, str) and name else self.model
        if not usage:
            return Cost(model=model)
        return Cost(
            None,
            usage.input_tokens or 0,
            usage.output_tokens or 0,
            usage.cache_read_input_tokens or 0,
            usage.cache_creation_input_tokens or 0,
            model,
        )


def make_client(key: str) -> anthropic.Anthropic:
    """The SDK's client: two retries with back-off; where it is comes from ANTHROPIC_BASE_URL."""
    return anthropic.Anthropic(api_key=key, max_retries=2, middleware=[_without_long_waits])


def default_model() -> str:
    """The newest Sonnet that the SDK names, by its undated name."""
    names: list[str] = [name for kind in get_args(ModelParam) for name in get_args(kind)]
    sonnets = [name for name in names if re.fullmatch(r"claude-sonnet(-\d{1,2})+", name)]
    return max(sonnets, key=lambda name: [int(part) for part in re.findall(r"\d+", name)])


def _without_long_waits(request: Any, call_next: Any) -> Any:
    """Let the SDK retry what passes in seconds; an hour's wait would look like work."""
    try:
        response = call_next(request)
    except anthropic.APITimeoutError:
        raise _SilentError from None
    headers, now = response.http_response.headers, time.time()
    wait = retry_after_s(headers, now)
    if response.status_code == 429 and wait is None and any(name.endswith("-reset") for name in headers):
        wait = until_of(headers, now) - now
    if (wait or 0.0) > LONGEST_RETRY_WAIT_S:
        headers["x-should-retry"] = "false"
    return response


def _reply(message: Message, cost: Cost) -> Reply:
    content: list[dict[str, Any]] = []
    calls: list[ToolCall] = []
    for block in message.content:
        match block.type:
            case "text" if block.text.strip():
                content.append({"type": "text", "text": block.text})
            case "thinking":
                content.append({"type": "thinking", "thinking": block.thinking, "signature": block.signature})
            case "redacted_thinking":
                content.append({"type": "redacted_thinking", "data": block.data})
            case "tool_use":
                arguments = block.input if isinstance(block.input, dict) else {}
                calls.append(ToolCall(block.id, block.name, arguments))
                content.append({"type": "tool_use", "id": block.id, "name": block.name, "input": arguments})
            case _:
                pass
    text = "\n".join(block["text"] for block in content if block["type"] == "text")
    details = message.stop_details
    refusal = (details.explanation if details else None) or text
    return Reply(content, text, tuple(calls), str(message.stop_reason), refusal, cost)
