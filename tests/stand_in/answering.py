"""How an answer of the script becomes bytes on a connection, or a connection that fails."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from tests.stand_in.dialect import Dialect, Event
from tests.stand_in.script import (
    Answer,
    Asked,
    Closed,
    Cut,
    Hang,
    Malformed,
    ScriptError,
    Status,
    Turn,
    UsageLimit,
)

if TYPE_CHECKING:
    from tests.stand_in.server import StandIn

DO_NOT_RETRY = {"x-should-retry": "false"}


class Answering(BaseHTTPRequestHandler):
    """Sends what a script says."""

    def answer(self, stand_in: StandIn, dialect: Dialect, asked: Asked) -> None:
        """One answer, good or bad."""
        try:
            answer = stand_in.prompter.answer(asked)
        except ScriptError as error:
            stand_in.fault(str(error))
            self.error(dialect, Status(500, str(error), headers=DO_NOT_RETRY))
            return
        not_offered = [
            call.name for call in _turn(answer).tools if call.name not in asked.tools and not call.invented
        ]
        if not_offered:
            said = f"the model called {not_offered[0]!r}; the request offers {', '.join(asked.tools) or 'nothing'}"
            stand_in.fault(said)
            self.error(dialect, Status(500, said, headers=DO_NOT_RETRY))
            return
        self._send(stand_in, dialect, asked, answer)

    def _send(self, stand_in: StandIn, dialect: Dialect, asked: Asked, answer: Answer) -> None:
        match answer:
            case Status():
                self.error(dialect, answer)
            case UsageLimit():
                self.error(dialect, dialect.limit(answer))
            case Closed():
                self.close_connection = True
            case Hang(turn=None):
                stand_in.ended.wait()
                self.close_connection = True
            case Turn() | Hang() | Cut() | Malformed():
                stand_in.ended.wait(_turn(answer).delay_s)
                if asked.stream:
                    self._stream(stand_in, dialect, asked, answer)
                else:
                    self._whole(stand_in, dialect, asked, answer)

    def _whole(
        self, stand_in: StandIn, dialect: Dialect, asked: Asked, answer: Turn | Hang | Cut | Malformed
    ) -> None:
        body = json.dumps(dialect.whole(_turn(answer), asked)).encode()
        if isinstance(answer, Turn):
            self.send_bytes(200, body)
            return
        half = body[: len(body) // 2]
        if isinstance(answer, Malformed):
            self.send_bytes(200, half)
            return
        self._head(200, {"content-type": "application/json", "content-length": str(len(body))})
        self.wfile.write(half)
        if isinstance(answer, Hang):
            stand_in.ended.wait()
        self.close_connection = True

    def _stream(
        self, stand_in: StandIn, dialect: Dialect, asked: Asked, answer: Turn | Hang | Cut | Malformed
    ) -> None:
        self._head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
        events = dialect.events(_turn(answer), asked)
        if isinstance(answer, Turn):
            self._events(events)
            self.wfile.write(b"0\r\n\r\n")
            return
        self._events(event for event, _ in zip(events, range(answer.after_events), strict=False))
        match answer:
            case Hang():
                stand_in.ended.wait()
            case Malformed():
                name = "content_block_delta" if asked.protocol == "anthropic" else None
                self._events(iter([(name, answer.data)]))
                self._events(events)
                self.wfile.write(b"0\r\n\r\n")
            case Cut(error=Status() as error):
                self._events(iter([("error", dialect.error(error))]))
                self.wfile.write(b"0\r\n\r\n")
            case Cut(clean=True):
                self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def _events(self, events: Iterator[Event]) -> None:
        for name, data in events:
            text = data if isinstance(data, str) else json.dumps(data)
            event = f"event: {name}\ndata: {text}\n\n" if name else f"data: {text}\n\n"
            chunk = event.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.flush()

    def error(self, dialect: Dialect, status: Status) -> None:
        """An error in the protocol's own words."""
        headers = dict(status.headers)
        if status.retry_after is not None:
            headers["retry-after"] = f"{status.retry_after:g}"
        self.send_body(status.code, dialect.error(status), headers)

    def send_body(self, code: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        """JSON in one piece."""
        self.send_bytes(code, json.dumps(body).encode(), headers)

    def send_bytes(self, code: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Bytes that say they are JSON."""
        length = {"content-type": "application/json", "content-length": str(len(body))}
        self._head(code, {**length, **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, code: int, headers: Mapping[str, str]) -> None:
        self.send_response(code)
        for name, value in {"request-id": f"req_{time.time_ns()}", **headers}.items():
            self.send_header(name, value)
        self.end_headers()


def _turn(answer: Answer) -> Turn:
    match answer:
        case Turn():
            return answer
        case Hang(turn=Turn() as turn) | Cut(turn=turn) | Malformed(turn=turn):
            return turn
    return Turn()
