"""A hub on loopback: files with ranges, redirects to a storage, and whatever can go wrong, on demand."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hub:
    """What it serves, and how badly. Files are named by the end of their path."""

    files: dict[str, bytes] = field(default_factory=dict)
    linked: bool = True  # as the real one: a redirect that carries the sha256, and a storage that does not
    cut_after: list[int] = field(default_factory=list)  # each of the next answers ends after so many bytes
    busy: int = 0  # so many answers are 503
    retry_after_s: int | None = None
    bytes_per_s: float = 0.0  # of each answer; 0: all at once
    pause_at: int = 0  # the next body stops here for a while
    pause_s: float = 0.0
    lies: dict[str, int] = field(default_factory=dict)  # the size that it tells of a file
    etags: dict[str, str] = field(default_factory=dict)
    ignores_ranges: bool = False
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # method, file, range
    tokens: set[tuple[str, str]] = field(default_factory=set)  # who was told which Authorization
    sent: Counter[str] = field(default_factory=Counter)  # bytes of each file
    port: int = 0
    storage_port: int = 0  # another host by its name: what is meant for the hub must not go there
    sending: int = 0
    most_at_once: int = 0  # bodies

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def etag_of(self, name: str) -> str:
        digest = hashlib.sha256(self.files[name]).hexdigest()
        return self.etags.get(name) or (digest if self.linked else digest[:32])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def refuse(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, with_body: bool) -> None:
        hub, name = self.hub, self.path.rpartition("/")[2]
        at_storage = self.path.startswith("/storage/")
        hub.asked.append((self.command, name, self.headers.get("Range", "")))
        hub.tokens.add(("storage" if at_storage else "hub", self.headers.get("Authorization", "")))
        if hub.busy:
            hub.busy -= 1
            self.refuse(503, {"Retry-After": str(hub.retry_after_s)} if hub.retry_after_s is not None else {})
        elif name not in hub.files:
            self.refuse(404)
        elif hub.linked and not at_storage:
            size = str(hub.lies.get(name, len(hub.files[name])))
            linked = {
                "X-Linked-Etag": f'"{hub.etag_of(name)}"',
                "X-Linked-Size": size,
                "X-Repo-Commit": "0" * 40,
            }
            location = f"http://localhost:{hub.storage_port}/storage/{name}"
            self.refuse(302, {"Location": location, **linked})
        else:
            self.send_file(name, with_body)

    def send_file(self, name: str, with_body: bool) -> None:
        hub, data = self.hub, self.hub.files[name]
        start = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
        same = self.headers.get("If-Range", f'"{hub.etag_of(name)}"') == f'"{hub.etag_of(name)}"'
        ranged = "Range" in self.headers and same and not hub.ignores_ranges
        start = start if ranged else 0
        self.send_response(206 if ranged else 200)
        if not hub.linked:
            self.send_header("ETag", f'"{hub.etag_of(name)}"')
        if ranged:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        told = len(data) - start if with_body or hub.linked else hub.lies.get(name, len(data))
        self.send_header("Content-Length", str(told))
        self.end_headers()
        if with_body:
            self.send_body(name, data[start:])

    def send_body(self, name: str, data: bytes) -> None:
        hub = self.hub
        cut = hub.cut_after.pop(0) if hub.cut_after else None
        data = data if cut is None else data[:cut]
        hub.sending += 1
        hub.most_at_once = max(hub.most_at_once, hub.sending)
        pause_at, hub.pause_at = hub.pause_at, 0
        if pause_at:
            self.wfile.write(data[:pause_at])
            time.sleep(hub.pause_s)
            data = data[pause_at:]
        block = len(data) if not hub.bytes_per_s else max(1, int(hub.bytes_per_s / 50))
        try:
            for start in range(0, len(data), max(1, block)):
                self.wfile.write(data[start : start + block])
                hub.sent[name] += len(data[start : start + block])
                if hub.bytes_per_s:
                    time.sleep(0.02)
        except OSError:  # whoever asked is gone
            pass
        hub.sending -= 1
        if cut is not None:
            self.close_connection = True
            self.connection.close()


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub without files, on ports of its own."""
    hub = Hub()
    handler = type("Handler", (Handler,), {"hub": hub})
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
    hub.port, hub.storage_port = (server.server_address[1] for server in servers)
    threads = []
    for server in servers:
        server.daemon_threads = True
        threads.append(threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}))
        threads[-1].start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()
