"""What each protocol of the stand-in has to know."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from tests.stand_in.script import Asked, Status, ToolCall, Turn, UsageLimit

Event = tuple[
    str | None, Mapping[str, Any] | str
]  # the name of an event and its data; a string goes as it is
_numbers = itertools.count(1)


class Dialect(Protocol):
    """One provider's way to ask and to answer."""

    def asked(self, path: str, body: Mapping[str, Any]) -> Asked:
        """The request in neutral words."""

    def problem(self, body: Mapping[str, Any]) -> str:
        """Why the provider would refuse this request, "" when it would not."""

    def whole(self, turn: Turn, asked: Asked) -> Mapping[str, Any]:
        """An answer in one piece."""

    def events(self, turn: Turn, asked: Asked) -> Iterator[Event]:
        """The same answer as a stream."""

    def error(self, status: Status) -> Mapping[str, Any]:
        """The body of an error."""

    def limit(self, limit: UsageLimit) -> Status:
        """How the provider says that a usage limit is reached."""


def new_id(prefix: str) -> str:
    """An id like the provider's, never twice the same."""
    return f"{prefix}_standin{next(_numbers):08d}"


def arguments_text(call: ToolCall) -> str:
    """The arguments as they stream."""
    return call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)


def arguments_object(call: ToolCall) -> Mapping[str, Any]:
    """The arguments for protocols that send them parsed."""
    return {} if isinstance(call.arguments, str) else call.arguments


def text_of(content: object) -> str:
    """The text of a message's content: a string, or blocks that have a `text`."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, list):
        return ""
    return "\n".join(
        block if isinstance(block, str) else str(block["text"])
        for block in content
        if isinstance(block, str) or (isinstance(block, Mapping) and isinstance(block.get("text"), str))
    )
