"""A junior's and a chief's process in a real lab, with a script in place of the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from roles.backend import EditOutcome, EditResult, EditTask, Plan, PlanBrief, Reflection, Report
from roles.loops.agent_process import AgentProcess
from sessions.git.repository import Repository
from supervisor.campaign.launch import open_campaign
from supervisor.campaign.options import LaunchOptions
from supervisor.drafts.junior_workspace import JuniorWorkspace
from supervisor.lab.paths import find_lab
from supervisor.model.experiment import Experiment
from supervisor.snapshot_reader import LabReader
from supervisor.store.connection import Store
from tests.worlds.labs import make_toy_lab

EDITED = EditOutcome(EditResult.EDITED, "X is 7", "it is nearer")


@dataclass
class Script:
    """What the model does, step by step; what it was given is kept."""

    edits: list[Callable[[EditTask], EditOutcome]] = field(default_factory=list)
    plans: list[Callable[[PlanBrief], Plan]] = field(default_factory=list)
    reflections: list[Callable[[EditTask], Reflection]] = field(default_factory=list)
    tasks: list[EditTask] = field(default_factory=list)
    briefs: list[PlanBrief] = field(default_factory=list)
    name: str = "script"

    def plan(self, brief: PlanBrief, report: Report) -> Plan:  # noqa: ARG002
        """See roles.backend.Backend."""
        self.briefs.append(brief)
        return self.plans.pop(0)(brief)

    def edit(self, task: EditTask, report: Report) -> EditOutcome:  # noqa: ARG002
        """See roles.backend.Backend."""
        self.tasks.append(task)
        return self.edits.pop(0)(task)

    def reflect(self, task: EditTask, experiment: Experiment, report: Report) -> Reflection:  # noqa: ARG002
        """See roles.backend.Backend."""
        self.tasks.append(task)
        return self.reflections.pop(0)(task)


def says(result: EditResult, why: str = "") -> Callable[[EditTask], EditOutcome]:
    """An answer without an edit."""
    return lambda _: EditOutcome(result, "", "", why)


def writes(old: str, new: str) -> Callable[[EditTask], EditOutcome]:
    """A real edit."""

    def edit(task: EditTask) -> EditOutcome:
        file = task.worktree / "train.py"
        file.write_text(file.read_text().replace(old, new, 1))
        return EDITED

    return edit


def raises(error: Exception) -> Callable[[object], object]:
    """A step that fails."""

    def step(_: object) -> object:
        raise error

    return step


def process_in(folder: Path, script: Script, name: str = "junior-1", config: str = "") -> AgentProcess:
    """A toy lab with a campaign; this agent thinks by script."""
    root = make_toy_lab(folder / "lab").root
    (root / "program.md").write_text("Lower the score.\n")
    with (root / "autoresearch.toml").open("a") as file:
        file.write(config)
    lab = find_lab(root)
    campaign = open_campaign(lab, LaunchOptions(juniors=1, devices="cpu:0"), lambda _: None)
    store = Store(lab.db)
    return AgentProcess(lab, name, campaign.tag, script, store, LabReader(lab, store), Repository(root))


def workspace_of(process: AgentProcess) -> JuniorWorkspace:
    """The junior's."""
    return JuniorWorkspace(process.lab, process.store, process.repository, process.tag, process.name)
