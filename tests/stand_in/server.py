"""A model's provider on loopback: four protocols, one script, and every fault that a provider has.

It refuses what the real ones refuse (a tool that was not offered, a call without a result): such a request is
answered with an error and kept in `faults`, which a test expects to be empty. Keys are never kept, only their
fingerprints; a key that stands in a request's body is a fault too.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import socket
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.stand_in import gemini
from tests.stand_in.answering import Answering
from tests.stand_in.anthropic_messages import Messages
from tests.stand_in.dialect import Dialect
from tests.stand_in.openai_chat import Chat
from tests.stand_in.openai_responses import Responses
from tests.stand_in.script import Asked, Prompter, Script, Status

DIALECTS: Mapping[str, Dialect] = {
    "/messages": Messages(),
    "/responses": Responses(),
    "/chat/completions": Chat(),
}
MODELS = ("claude-sonnet-5-5", "claude-haiku-5-5", "gpt-stand-in", "gemini-stand-in")


class StandIn:
    """The server. `with StandIn(script) as server:` and point a client at `server.url`."""

    def __init__(self, script: Script) -> None:
        self.asked: list[Asked] = []
        self.faults: list[str] = []
        self.others: list[str] = []  # requests beside those to a model, as "GET /v1/models"
        self.prompter = Prompter(script)
        self.ended = threading.Event()  # wakes what hangs
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stand_in = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Where it is, without `/v1`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> StandIn:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it, and whoever still hangs on it."""
        self.ended.set()
        self._server.shutdown()
        self._server.end_connections()
        self._server.server_close()
        self._thread.join()

    def script(self, script: Script) -> None:
        """Go on with another script."""
        self.prompter = Prompter(script)

    def record(self, asked: Asked) -> None:
        """Keep a request."""
        with self._lock:
            self.asked.append(asked)

    def fault(self, text: str) -> None:
        """Keep what no client should have done."""
        with self._lock:
            self.faults.append(text)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    stand_in: StandIn

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)

    def end_connections(self) -> None:
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            self.stand_in.fault(f"the stand-in failed: {error!r}")


class _Handler(Answering, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an event is a packet, as from a real provider
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what was asked is kept, what a client prints is its own."""

    def do_HEAD(self) -> None:
        self._other({})

    def do_GET(self) -> None:
        models = [{"id": m, "type": "model", "object": "model", "display_name": m} for m in MODELS]
        listed = {"object": "list", "data": models, "has_more": False, "models": []}
        self._other(listed if urlsplit(self.path).path.endswith("/models") else {})

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        raw = self.rfile.read(length)
        if self.headers.get("content-encoding") == "gzip":
            raw = gzip.decompress(raw)
        path = urlsplit(self.path).path
        if path.endswith(("/messages/count_tokens", ":countTokens")):
            tokens = len(raw) // 4
            self._other({"input_tokens": tokens, "totalTokens": tokens})
            return
        dialect: Dialect | None = gemini.Gemini() if gemini.PATH.search(path) else None
        dialect = dialect or next((d for end, d in DIALECTS.items() if path.endswith(end)), None)
        if dialect is None:
            self._other({})
            return
        key = self._key()
        if key and key.encode() in raw:
            self.server.stand_in.fault("the key stands in the body of a request")
        self._model(dialect, path, raw, hashlib.sha256(key.encode()).hexdigest()[:12] if key else "")

    def _model(self, dialect: Dialect, path: str, raw: bytes, fingerprint: str) -> None:
        stand_in = self.server.stand_in
        try:
            body = json.loads(raw)
            asked = dialect.asked(path, body)
            problem = dialect.problem(body)
        except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
            stand_in.fault(f"{path}: unreadable request: {error!r}")
            self.error(dialect, Status(400, f"unreadable request: {error!r}"))
            return
        asked = Asked(**{**vars(asked), "key": fingerprint})
        stand_in.record(asked)
        if problem:
            stand_in.fault(problem)
            self.error(dialect, Status(400, problem))
        elif not fingerprint:
            self.error(dialect, Status(401, "no key"))
        else:
            self.answer(stand_in, dialect, asked)

    def _other(self, body: Mapping[str, Any]) -> None:
        self.server.stand_in.others.append(f"{self.command} {urlsplit(self.path).path}")
        self.send_body(200, body)

    def _key(self) -> str:
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        query = parse_qs(urlsplit(self.path).query).get("key", [""])[0]
        return self.headers.get("x-api-key") or self.headers.get("x-goog-api-key") or bearer or query
