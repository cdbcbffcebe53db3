"""A toy lab whose junior is its client's, a supervisor that measures for it, and real MCP clients."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from supervisor.campaign.launch import open_campaign
from supervisor.campaign.options import LaunchOptions
from supervisor.lab.paths import Lab, find_lab
from supervisor.loop.supervise import Loop
from supervisor.model.snapshot import LabSnapshot
from supervisor.snapshot_reader import read_snapshot
from supervisor.store.connection import Store
from tests.worlds.labs import TOY_CANVAS, make_toy_lab
from tests.worlds.live import CLI

INTERACTIVE = '\n[agents]\njunior = { backend = "claude", mode = "interactive" }\n'
QUICK = TOY_CANVAS.replace("SECONDS = 0.5", "SECONDS = 0.1")


@dataclass
class Answer:
    """What a tool said."""

    text: str
    is_error: bool

    def __getitem__(self, name: str) -> str:
        return next(
            line.removeprefix(f"{name}: ") for line in self.text.splitlines() if line.startswith(f"{name}: ")
        )


Call = Callable[..., Awaitable[Answer]]


@dataclass
class ToyLab:
    """A launched lab without its windows."""

    lab: Lab

    def snapshot(self) -> LabSnapshot:
        return read_snapshot(self.lab, Store(self.lab.db), time.time())

    @property
    def canvas(self) -> Path:
        return self.lab.worktrees_dir / "junior-1" / "train.py"

    def edit(self, old: str, new: str) -> None:
        text = self.canvas.read_text()
        assert old in text
        self.canvas.write_text(text.replace(old, new, 1))

    async def talk(self, conversation: Callable[[Call], Awaitable[None]], agent: str = "junior-1") -> None:
        """Hold a conversation with `autoresearch-tui mcp`, as an agent's client does."""
        server = StdioServerParameters(
            command=CLI, args=["mcp", "--agent", agent, "--lab", str(self.lab.root)], cwd=self.lab.root
        )
        async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
            await session.initialize()

            async def call(tool: str, **arguments: Any) -> Answer:
                result = await session.call_tool(tool, arguments)
                (block,) = result.content
                return Answer(block.text, bool(result.is_error))

            await conversation(call)


class NoCrew:
    """The windows are another test's."""

    def keep(self, *_: object) -> None:
        return None


def launched(root: Path, config: str = INTERACTIVE, juniors: int = 1) -> ToyLab:
    lab = make_toy_lab(root, QUICK)
    with (root / "autoresearch.toml").open("a") as file:
        file.write(config)
    lab = find_lab(root)
    open_campaign(lab, LaunchOptions(juniors=juniors, devices="cpu:0"), lambda _: None)
    return ToyLab(lab)


@contextmanager
def measuring(toy: ToyLab) -> Iterator[ToyLab]:
    """While this lasts the supervisor measures what is handed over."""
    loop = Loop(toy.lab)
    loop.agent_processes = NoCrew()  # type: ignore[assignment]
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield toy
    finally:
        loop.stopping = True
        thread.join(20)
        loop.end_runs()
