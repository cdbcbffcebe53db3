"""The backend with the real SDK against the stand-in, and a worktree with things in it that are out of bounds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from roles.backend import BackendContext, EditOutcome, EditTask, Plan, PlanBrief, Reflection
from roles.backends.anthropic.backend import AnthropicBackend
from roles.backends.anthropic.conversation import StepLimits
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import Hypothesis
from supervisor.model.states import Direction, ExperimentState, HypothesisState
from tests.stand_in.script import Script, ToolCall, Turn
from tests.stand_in.server import StandIn

KEY = "sk-ant-dummy-4f1d0c9e7b"
CANVAS = "DEPTH = 4\nWIDTH = 64\n\n\ndef build():\n    return DEPTH * WIDTH\n"
FILES = {
    "train.py": CANVAS,
    "prepare.py": "SEED = 1\n",
    "docs/notes.md": "width pays\n",
    ".git/HEAD": "ref: refs/heads/main\n",  # the tools never ask git: this is what they must leave alone
    ".GIT/config": "the same folder where names have no case\n",
    ".git/config": "[remote]\n\turl = git@example.org:lab\n",
}
BRIEF = "# One experiment\n\nHalve DEPTH.\n"
LIMITS = StepLimits(silence_s=0.4, breath_s=0.0, turns=6, turn_tokens=1_000, step_tokens=5_000)
EXPECTATION = "Fewer layers make more updates; the score falls by 0.01."


@dataclass
class Told:
    """A `Report` that remembers."""

    said: list[str] = field(default_factory=list)
    streamed: str = ""
    tools: list[tuple[str, str]] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.said.append(text)

    def stream(self, text: str) -> None:
        self.streamed += text

    def tool(self, name: str, detail: str) -> None:
        self.tools.append((name, detail))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, links not followed."""
    return {
        str(Path(at, name).relative_to(folder)): Path(at, name).read_bytes()
        for at, _, names in os.walk(folder)
        for name in names
        if not Path(at, name).is_symlink()
    }


@dataclass
class World:
    """A worktree, a stand-in, and the backend between them."""

    server: StandIn
    worktree: Path
    context: BackendContext
    limits: StepLimits = LIMITS
    told: Told = field(default_factory=Told)

    @property
    def backend(self) -> AnthropicBackend:
        return AnthropicBackend(self.context, self.limits)

    def task(self, **changes: Any) -> EditTask:
        given: dict[str, Any] = {
            "program": "", "worktree": self.worktree, "editable": ("train.py",), "new_files": ("extra/*.py",),
            "hypothesis": HYPOTHESIS,
            "incumbent": EXPERIMENT, "metric": "score", "direction": Direction.LOWER, "noise_sd": None, "tried": (),
            "seed": 1, "text": BRIEF,
        }  # fmt: skip
        return EditTask(**{**given, **changes})

    def edit(self, script: Script, **changes: Any) -> EditOutcome:
        self.server.script(script)
        return self.backend.edit(self.task(**changes), self.told)

    def plan(self, script: Script, **changes: Any) -> Plan:
        self.server.script(script)
        given: dict[str, Any] = {
            "program": "", "canvas": (), "champion": None, "metric": "score", "direction": Direction.LOWER,
            "noise_sd": None, "tried": (), "open_hypotheses": (), "notes": (), "wanted": 2, "seed": 1,
            "text": "# A plan\n", "worktree": self.worktree,
        }  # fmt: skip
        return self.backend.plan(PlanBrief(**{**given, **changes}), self.told)

    def reflect(self, script: Script) -> Reflection:
        self.server.script(script)
        return self.backend.reflect(self.task(text="# A verdict\n"), EXPERIMENT, self.told)

    @property
    def results(self) -> list[tuple[str, bool]]:
        """What the tools gave back, as the last request had it."""
        return [(result.text, result.is_error) for result in self.server.asked[-1].tool_results]

    @property
    def transcripts(self) -> list[list[dict[str, Any]]]:
        """All that was kept, by step."""
        paths = sorted((self.context.folder / "transcripts").glob("*.jsonl"))
        return [[json.loads(line) for line in path.read_text().splitlines()] for path in paths]


HYPOTHESIS = Hypothesis("Halve DEPTH", category="shape", id="h1", state=HypothesisState.CLAIMED)
EXPERIMENT = Experiment(
    "e0007", "junior-1", "Halve DEPTH", ExperimentState.DECIDED, "e0000", "c" * 40, "s", 0.0
)
CUT_DEPTH = Turn(
    "Half the layers should train faster. ",
    [ToolCall("edit", {"path": "train.py", "old": "DEPTH = 4", "new": "DEPTH = 2"})],
)


def answer(result: str = "edited", **more: str) -> Turn:
    """A junior's last turn."""
    given = {"result": result, "title": "DEPTH 4 → 2", "expectation": EXPECTATION, "explanation": "", **more}
    return Turn(f"Done.\n\n```json\n{json.dumps(given)}\n```")


def plan_answer(*titles: str) -> Turn:
    """A chief's last turn."""
    hypotheses = [{"title": title, "rationale": "e0003", "change": f"{title}."} for title in titles]
    return Turn(json.dumps({"hypotheses": hypotheses, "summary": "Updates limit it."}))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Checked at the end: no fault was made, and the key is nowhere."""
    root = tmp_path / "work"
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (tmp_path / "secret.txt").write_text("outside")
    (root / "out").symlink_to(tmp_path / "secret.txt")
    (root / "away").symlink_to(tmp_path)
    (root / "behind").symlink_to(root / ".git")
    (root / "alias.py").symlink_to(root / "prepare.py")
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    context = BackendContext("junior-1", "", tmp_path, tmp_path / "agents" / "junior-1")
    with StandIn([]) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        world = World(server, root, context)
        yield world
        assert not server.faults
        told = repr(world.told)
        kept = b"".join(tree(context.folder).values()) if context.folder.exists() else b""
        assert KEY not in told and KEY.encode() not in kept
