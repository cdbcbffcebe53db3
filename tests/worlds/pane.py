"""An agent's process in a terminal, with a client of ours under the name of a real one."""

from __future__ import annotations

import json
import os
import pty
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from supervisor.model.snapshot import Agent
from supervisor.model.states import Wanted
from supervisor.store import agents
from supervisor.store.connection import Store
from tests.worlds.interactive import ToyLab
from tests.worlds.live import CLI

CLIENT = Path(__file__).with_name("client.py")
PATIENCE_S = 30.0


def install_client(folder: Path) -> Path:
    """Put our client there under the name of a real one; returns what belongs at the head of PATH."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    client = programs / "claude"
    client.write_text(f'#!/bin/sh\nexec {sys.executable} -P {CLIENT} "$@"\n')
    client.chmod(0o755)
    return programs


class Pane:
    """`autoresearch-tui agent junior-1` in a terminal."""

    def __init__(self, toy: ToyLab, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.toy = toy
        self.home = toy.lab.state_dir / "agents" / "junior-1" / "home"
        self.shown = b""
        programs = install_client(folder)
        path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        words = [CLI, "agent", "junior-1", "--lab", str(toy.lab.root)]
        env = os.environ | {"PATH": path, "AUTORESEARCH_AGENT": "junior-1"} | (environment or {})
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execve(words[0], words, env)
        self.process = psutil.Process(self.pid)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while piece := os.read(self.terminal, 65536):
                self.shown += piece
        except OSError:
            return

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def agent(self) -> Agent:
        found = self.toy.snapshot().agent("junior-1")
        assert found is not None
        return found

    def wait(self, true: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if value := true():
                return value
            time.sleep(0.05)
        raise AssertionError(f"never {what}; {self.agent()}\n{self.shown.decode(errors='replace')[-3000:]}")

    def log(self, kind: str) -> list[Any]:
        file = self.home / "client.log"
        lines = file.read_text().splitlines() if file.exists() else []
        return [value for name, value in map(json.loads, lines) if name == kind]

    def step(self, *words: object) -> None:
        """Have the client do one thing, and wait until it has."""
        done = len(self.log("done"))
        with (self.home / "script").open("a") as script:
            script.write(json.dumps(words) + "\n")
        if words[0] != "exit":
            self.wait(lambda: len(self.log("done")) > done, f"did {words}")

    def want(self, wanted: Wanted) -> None:
        campaign = self.toy.snapshot().campaign
        assert campaign is not None
        agents.want_agents(Store(self.toy.lab.db), campaign.tag, ("junior-1",), wanted, time.time())

    def ended(self) -> int:
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """End what still runs."""
        alive = self.process.is_running()
        family = [self.process, *self.process.children(recursive=True)] if alive else []
        clients = {start["pid"] for start in self.log("start")}
        family += [p for p in psutil.process_iter() if p.pid in clients and p not in family]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=10)
        os.close(self.terminal)
