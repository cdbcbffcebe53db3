"""What the stand-in answers: turns of a model, and the ways in which a provider lets a client down."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Stop(StrEnum):
    """Why a turn ended, in nobody's words; "" is what the turn's content says."""

    NATURAL = ""
    REFUSAL = "refusal"
    MAX_TOKENS = "max_tokens"


@dataclass(frozen=True)
class Usage:
    """What a turn cost; the tokens of the cache are in none of the others."""

    input: int = 100
    output: int = 20
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True)
class ToolCall:
    """A tool that the model calls; a string instead of arguments is sent as it is, valid JSON or not."""

    name: str
    arguments: Mapping[str, Any] | str


@dataclass(frozen=True)
class Turn:
    """One answer of the model."""

    text: str = ""
    tools: Sequence[ToolCall] = ()
    thinking: str = ""
    stop: Stop = Stop.NATURAL
    usage: Usage = Usage()
    delay_s: float = 0.0  # it thinks so long before the first word


@dataclass(frozen=True)
class Status:
    """An HTTP error; type and message are the protocol's own unless given."""

    code: int
    message: str = ""
    kind: str = ""
    retry_after: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class UsageLimit:
    """What was paid for is used up until then (epoch seconds; None: the provider does not say)."""

    resets_at: float | None = None


@dataclass(frozen=True)
class Hang:
    """Silence: before the first byte, or in the middle of a turn."""

    turn: Turn | None = None
    after_events: int = 0


@dataclass(frozen=True)
class Cut:
    """A stream that ends in the middle; `clean` ends it as if it were whole."""

    turn: Turn = Turn("cut in the middle of this")
    after_events: int = 3
    clean: bool = False


@dataclass(frozen=True)
class Malformed:
    """Something that is no JSON, after so many events; without a stream, as the body."""

    turn: Turn = Turn("malformed after this")
    after_events: int = 3


@dataclass(frozen=True)
class Closed:
    """The connection is closed without an answer."""


Answer = Turn | Status | UsageLimit | Hang | Cut | Malformed | Closed


@dataclass(frozen=True)
class Said:
    """One message of a conversation, as plain text; calls and results of tools are not in it."""

    role: str
    text: str


@dataclass(frozen=True)
class ToolResult:
    """What a client gave back for a call."""

    call: str  # its id; Gemini has none and names the tool
    text: str
    is_error: bool = False


@dataclass(frozen=True)
class Asked:
    """One request, whatever protocol it came in."""

    protocol: str  # anthropic, responses, chat, gemini
    model: str
    system: str
    messages: tuple[Said, ...]
    tools: tuple[str, ...]  # names of what is offered
    tool_results: tuple[ToolResult, ...]  # all of the conversation, oldest first
    stream: bool
    body: Mapping[str, Any] = field(repr=False)  # as it came; no header is in it
    key: str = ""  # a fingerprint of the key that came with it, "" without one

    @property
    def text(self) -> str:
        """All that was said, system prompt and results of tools included."""
        results = [result.text for result in self.tool_results]
        return "\n".join([self.system, *(said.text for said in self.messages), *results])


Script = Callable[[Asked], Answer] | Sequence[Answer]


class ScriptError(Exception):
    """The script has no answer: a fault of the test or of the client, never of the provider."""


class Prompter:
    """Gives the next answer of a script, to one request at a time."""

    def __init__(self, script: Script) -> None:
        self._script, self._at, self._lock = script, 0, threading.Lock()

    def answer(self, asked: Asked) -> Answer:
        """What the model says to that. Raises ScriptError past the end of a list."""
        with self._lock:
            if callable(self._script):
                return self._script(asked)
            self._at += 1
            if self._at > len(self._script):
                raise ScriptError(f"the script has {len(self._script)} turns, this is request {self._at}")
            return self._script[self._at - 1]

    @property
    def left(self) -> int:
        """Answers of a list that were not asked for."""
        return 0 if callable(self._script) else max(len(self._script) - self._at, 0)


def pieces(text: str, parts: int = 3) -> list[str]:
    """A text as it streams: in a few pieces, none of them empty."""
    size = max(-(-len(text) // parts), 1)
    return [text[at : at + size] for at in range(0, len(text), size)]
