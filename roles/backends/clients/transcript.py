"""A client's events, read as they come: what it says now, and in the end how it ended and what it cost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from roles.backend import Cost, Report
from roles.backends.clients.selectors import parse_selector, walk
from roles.backends.clients.spec import AgentFile, Format, Selectors, Take, ToolCalls

LONGEST_OWN_WAIT_S = 15.0  # a client may wait so long for a limit by itself
LONGEST_DETAIL = 300
LONGEST_TEXT = 400_000  # characters of an answer that are kept, its end
_COUNTERS = ("usd", "input", "output", "cache_read", "cache_write")


@dataclass(slots=True)
class Transcript:
    """One run of a client."""

    spec: AgentFile
    report: Report
    without_secrets: Callable[[str], str]
    ending: bool | None = None  # None: it never said
    reason: str = ""
    final: str = ""
    structured: Mapping[str, Any] | None = None
    session: str = ""
    refused: str = ""
    limited: str = ""
    resets: list[object] = field(default_factory=list)
    model: str = ""
    _done_text: str = ""
    _printed: list[str] = field(default_factory=list)
    _printed_size: int = 0
    _counters: dict[str, float] = field(default_factory=dict)

    def feed(self, line: str) -> None:
        """A line of its output."""
        if self.spec.format is Format.JSONL:
            self.feed_event(line)
            return
        self._keep(line)
        if self.spec.format is Format.TEXT:
            self.report.stream(self.without_secrets(line) + "\n")

    def feed_event(self, line: str) -> None:
        """An event; anything else on the line is let pass."""
        if not line.lstrip().startswith("{"):
            return
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return
        if isinstance(event, dict):
            self.read(event)

    def end_of_output(self) -> None:
        """Nothing more comes."""
        text = "\n".join(self._printed)
        if self.spec.format is Format.TEXT:
            self.final = self.final or text
        elif self.spec.format is Format.JSON:
            try:
                document = json.loads(text[text.index("{") :] if "{" in text else text)
            except (ValueError, RecursionError):
                return
            if isinstance(document, dict):
                self.read(document)

    def read(self, event: dict[str, Any]) -> None:
        """One event."""
        events = self.spec.events
        for tools, tell in ((events.tools, self._tool), (events.denied, self._denied)):
            for calls in tools:
                for call in parse_selector(calls.at).values(event):
                    tell(calls, call)
        for text in _texts(events.say, event):
            self.report.stream(self.without_secrets(text.rstrip("\n")) + "\n")
        for piece in _texts(events.pieces, event):
            self.report.stream(self.without_secrets(piece))
            self.final = (self.final + piece)[-LONGEST_TEXT:]
        self.session = next(iter(_texts(events.session, event)), self.session)
        self.final = "\n".join(_texts(events.final, event))[-LONGEST_TEXT:] or self.final
        self.refused = _reason(events.refused, event) or self.refused
        self.limited = _reason(events.limited, event) or self.limited
        self.resets += _values(events.resets_at, event)
        waits = [v / 1000 for v in _values(events.waits_ms, event) if isinstance(v, int | float)]
        if waits and max(waits) > LONGEST_OWN_WAIT_S:
            self.limited = f"a limit of its provider, for {max(waits):.0f} s"
            self.resets.append(time.time() + max(waits))
        self.structured = next(
            (v for v in _values(events.structured, event) if isinstance(v, dict)), self.structured
        )
        self._count(event)
        self._end(event)

    def cost(self, before: Mapping[str, float]) -> Cost:
        """Of this run; `before` are the counters of its session when it was resumed."""
        usage = self.spec.usage
        off = before if usage.cumulative else {}
        n = {name: max(0.0, self._counters.get(name, 0.0) - off.get(name, 0.0)) for name in _COUNTERS}
        fresh = n["input"] - n["cache_read"] if usage.input_has_cache else n["input"]
        usd = n["usd"] if "usd" in self._counters else None
        return Cost(
            usd, max(0, int(fresh)), int(n["output"]), int(n["cache_read"]), int(n["cache_write"]), self.model
        )

    def counters(self) -> dict[str, float]:
        """As the client counts."""
        return dict(self._counters)

    @property
    def last_words(self) -> str:
        """What the model said in the end."""
        return self.final or self._done_text

    def _end(self, event: dict[str, Any]) -> None:
        for selectors, well in ((self.spec.events.done, True), (self.spec.events.failed, False)):
            if any(parse_selector(each).matches(event) for each in selectors):
                text = "\n".join(_texts(selectors, event))
                self.ending = well
                self.reason = "" if well else text or self.reason
                self._done_text = text[-LONGEST_TEXT:] if well else self._done_text

    def _count(self, event: dict[str, Any]) -> None:
        usage = self.spec.usage
        for name in _COUNTERS:
            counts = [
                float(v)
                for v in _values(getattr(usage, name), event)
                if isinstance(v, int | float) and not isinstance(v, bool)
            ]
            if counts:
                before = self._counters.get(name, 0.0) if usage.take is Take.SUM else 0.0
                self._counters[name] = before + sum(counts)
        self.model = next(iter(_texts(usage.model, event)), self.model)

    def _tool(self, calls: ToolCalls, call: object) -> None:
        if self.spec.events.pieces:
            self.final = ""
        self.report.tool(*self._named(calls, call))

    def _denied(self, calls: ToolCalls, call: object) -> None:
        name, detail = self._named(calls, call)
        self.report.tool(f"refused: {name}", detail)

    def _named(self, calls: ToolCalls, call: object) -> tuple[str, str]:
        name = next((str(v) for v in walk(call, calls.name)), "?")
        value = next((v for path in calls.detail for v in walk(call, path)), "")
        detail = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return self.without_secrets(name)[:80], self.without_secrets(detail)[:LONGEST_DETAIL]

    def _keep(self, line: str) -> None:
        self._printed.append(line)
        self._printed_size += len(line)
        while self._printed_size > 2 * LONGEST_TEXT and len(self._printed) > 1:
            self._printed_size -= len(self._printed.pop(0))


def _values(selectors: Selectors, event: dict[str, Any]) -> list[Any]:
    return [value for text in selectors for value in parse_selector(text).values(event)]


def _reason(selectors: Selectors, event: dict[str, Any]) -> str:
    if not any(parse_selector(text).matches(event) for text in selectors):
        return ""
    return "\n".join(_texts(selectors, event)) or "no reason given"


def _texts(selectors: Selectors, event: dict[str, Any]) -> list[str]:
    selected = (parse_selector(text) for text in selectors)
    values = [value for selector in selected if selector.path for value in selector.values(event)]
    texts = (value if isinstance(value, str) else json.dumps(value) for value in values)
    return [text for text in texts if text]
