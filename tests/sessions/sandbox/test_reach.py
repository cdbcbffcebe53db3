"""What of the network a confined process reaches: its own servers, the machine's, or all."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions.network import Network
from sessions.sandbox.filesystem_view import View
from sessions.sandbox.run_sandbox import Confinement, confined_argv, works

CLIENT = """\
import socket, sys, threading

def reached(ask):
    try:
        return ask()
    except OSError:
        return "not reached"

def machine():
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5) as asker:
        asker.sendall(b"a" * 100_000)
        asker.shutdown(socket.SHUT_WR)
        return asker.makefile().read()

def own():
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=lambda: server.accept()[0].sendall(b"mine"), daemon=True).start()
    return socket.create_connection(server.getsockname(), timeout=5).recv(9).decode()

print(reached(machine), reached(own), len(socket.if_nameindex()) > 1, sep=" | ")
sys.exit(7)
"""


@pytest.fixture
def port() -> Iterator[int]:
    """A server of this machine that says how much it was told."""

    def serve() -> None:
        with server.accept()[0] as asked:
            count = 0
            while data := asked.recv(65536):
                count += len(data)
            asked.sendall(f"{count} bytes".encode())

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        socket.create_connection(server.getsockname()).close()


@pytest.mark.parametrize("grade", [Confinement.BWRAP, Confinement.LANDLOCK, Confinement.UNSHARE])
@pytest.mark.parametrize(
    ("network", "serves_itself", "machine", "own"),
    [
        (Network.NONE, False, "not reached", "not reached"),
        (Network.NONE, True, "not reached", "mine"),
        (Network.LOOPBACK, False, "100000 bytes", "mine"),
        (Network.OPEN, False, "100000 bytes", "mine"),
    ],
)
def test_reach(
    grade: Confinement,
    network: Network,
    serves_itself: bool,
    machine: str,
    own: str,
    port: int,
    tmp_path: Path,
) -> None:
    if not works(grade):
        pytest.skip(f"{grade} does not work here")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    view = View(tmp_path.resolve(), env, (), (), True, network=network, serves_itself=serves_itself)
    argv = confined_argv(grade, [sys.executable, "-c", CLIENT, str(port)], view)
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode == 7, done.stderr
    assert done.stdout.split(" | ")[:2] == [machine, own], done.stderr
    if network is not Network.OPEN:
        assert done.stdout.strip().endswith("False"), "there is an interface that leads out"
