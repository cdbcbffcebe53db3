"""A lab with one worktree, and programs that stand in for clients: they print what the real ones printed."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from roles.backend import BackendContext, EditTask, PlanBrief
from roles.backends.clients.catalogue_files import CATALOGUE, read_agent
from roles.backends.clients.client import ClientBackend
from roles.backends.clients.client_setup import Auth
from roles.backends.clients.spec import AgentFile
from supervisor.model.states import Direction
from tests.roles.telling import Told

TRANSCRIPTS = Path(__file__).parent / "transcripts"
KEY = "sk-ant-dummy-0123456789"
EDITS = "sed -i 's/DEPTH = 4/DEPTH = 3/' train.py"
BEFORE = "DEPTH = 4\nWIDTH = 64\n"


@dataclass
class World:
    """Where a client runs."""

    root: Path
    told: Told = field(default_factory=Told)
    env: dict[str, str] = field(default_factory=dict)

    @property
    def worktree(self) -> Path:
        return self.root / ".autoresearch/worktrees/junior-1"

    @property
    def context(self) -> BackendContext:
        return BackendContext("junior-1", "", self.root, self.root / ".autoresearch/agents/junior-1")

    @property
    def bin(self) -> Path:
        return self.root.parent / "bin"

    def git(self, *arguments: str, at: Path | None = None) -> str:
        """One git command of the person's."""
        command = ["git", "-c", "user.name=p", "-c", "user.email=p@p", *arguments]
        done = subprocess.run(command, cwd=at or self.root, check=True, capture_output=True, text=True)
        return done.stdout

    def install(self, name: str, script: str, version: str = "9.9.9") -> Path:
        """A program of that name."""
        path = self.bin / name
        path.write_text(
            f'#!/bin/sh\nif [ "$1" = --version ]; then echo "{name} {version}"; exit 0; fi\n{script}\n'
        )
        path.chmod(0o755)
        return path

    def client(self, spec: AgentFile | str, script: str = "", **settings: Any) -> ClientBackend:
        """A backend whose client is that script."""
        if isinstance(spec, str):
            spec = read_agent(CATALOGUE / f"{spec}.toml")
        spec = spec.model_copy(update=settings)
        if script:
            self.install(spec.binary, script)
        return ClientBackend(spec, self.context, Auth.OWN, self.env)

    def plays(self, transcript: str, *, code: int = 0, first: str = "") -> str:
        """A script that prints what a real client printed."""
        (self.bin / transcript).write_bytes((TRANSCRIPTS / transcript).read_bytes())
        return f"cat > /dev/null\n{first}\ncat {self.bin / transcript}\nexit {code}"

    def task(self, text: str = "Set DEPTH to 3.") -> EditTask:
        """One experiment."""
        return EditTask(
            "p", self.worktree, ("train.py",), (), None, None, "val_bpb", Direction.LOWER, None, (), 1, text=text,  # type: ignore[arg-type]
        )  # fmt: skip

    def brief(self, text: str = "Plan.", wanted: int = 3) -> PlanBrief:
        """For the chief."""
        return PlanBrief(
            "p", (), None, "val_bpb", Direction.LOWER, None, (), (), (), wanted, 1, text=text, worktree=self.worktree,
        )  # fmt: skip

    def canvas(self) -> str:
        """What the worktree holds."""
        return (self.worktree / "train.py").read_text()


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path / "lab")
    (made.root / ".autoresearch/worktrees").mkdir(parents=True)
    made.bin.mkdir()
    home = tmp_path / "person"
    home.mkdir()
    made.env = {"PATH": f"{made.bin}:{os.environ['PATH']}", "HOME": str(home), "ANTHROPIC_API_KEY": KEY}
    made.git("init", "-q")
    (made.root / "train.py").write_text(BEFORE)
    (made.root / "prepare.py").write_text("METRIC = 1\n")
    made.git("add", "train.py", "prepare.py")
    made.git("commit", "-qm", "first")
    made.git("worktree", "add", "-q", "--detach", str(made.worktree))
    return made
