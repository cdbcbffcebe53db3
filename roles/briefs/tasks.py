"""What an agent is given for one step: fresh, bounded, the same for every backend."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from roles.backend import Canvas, EditTask, PlanBrief, Tried
from roles.briefs.advice import junior_advice, mode_advice
from roles.briefs.sections import Surroundings
from roles.briefs.texts import edit_text, plan_text, reflect_text
from sessions.files import write_atomically
from supervisor.analysis.holdout import without_holdout
from supervisor.analysis.lineage import lineage_of
from supervisor.drafts.junior_workspace import JuniorWorkspace
from supervisor.errors import LabError
from supervisor.lab.documents import read_documents
from supervisor.lab.notes import read_note
from supervisor.lab.paths import Lab
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import Hypothesis, LabSnapshot, Note
from supervisor.model.states import UNTESTED, HypothesisState, Role
from supervisor.runs.report import read_report
from supervisor.store.connection import Store
from supervisor.store.reading import earlier_experiments

PLAN_AHEAD = 3  # hypotheses a plan holds per junior
NOTES_READ = 200  # the newest


def edit_task(
    workspace: JuniorWorkspace,
    snapshot: LabSnapshot,
    experiment: Experiment,
    messages: tuple[str, ...],
    repair: str = "",
) -> EditTask:
    """One experiment, for a junior's backend; its text is kept as brief.md."""
    task = replace(_task(workspace, snapshot, experiment), messages=messages, repair=repair)
    advice = junior_advice(snapshot, workspace.agent)
    task = replace(
        task, text=edit_text(task, _around(workspace, snapshot, experiment, task.editable, advice))
    )
    keep_text(workspace.lab.runs_dir / experiment.id / "brief.md", task.text)
    return task


def reflect_task(workspace: JuniorWorkspace, snapshot: LabSnapshot, experiment: Experiment) -> EditTask:
    """A verdict, for a junior's backend."""
    task = _task(workspace, snapshot, experiment)
    around = _around(workspace, snapshot, experiment, task.editable, ())
    return replace(task, text=reflect_text(task, without_holdout(experiment), around))


def plan_brief(
    lab: Lab,
    store: Store,
    snapshot: LabSnapshot,
    canvas: tuple[Canvas, ...],
    messages: tuple[str, ...],
    *,
    why: str = "",
    worktree: Path | None = None,
) -> PlanBrief:
    """The whole lab, for a chief's backend."""
    campaign = snapshot.campaign
    assert campaign is not None
    champion = snapshot.experiment(snapshot.champion_id)
    untested = tuple(h for h in snapshot.hypotheses if h.state in UNTESTED)
    untaken = sum(h.state is not HypothesisState.CLAIMED for h in untested)
    juniors = sum(agent.role is Role.JUNIOR for agent in snapshot.agents)
    brief = PlanBrief(
        program=read_program(lab),
        canvas=canvas,
        champion=without_holdout(champion) if champion else None,
        metric=campaign.metric,
        direction=campaign.direction,
        noise_sd=snapshot.noise.sd if snapshot.noise else None,
        tried=tried(lab, store, snapshot),
        open_hypotheses=untested,
        notes=snapshot.notes,
        wanted=max(PLAN_AHEAD * max(juniors, 1) - untaken, 1),
        seed=draw(snapshot, "chief", str(len(snapshot.hypotheses))),
        messages=messages,
        worktree=worktree,
    )
    around = replace(
        _surroundings(lab, snapshot, mode_advice(snapshot, why)), report=_report_of(lab, champion)
    )
    return replace(brief, text=plan_text(brief, around))


def keep_text(path: Path, text: str) -> None:
    """Keep what a model was given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)


def tried(lab: Lab, store: Store, snapshot: LabSnapshot) -> tuple[Tried, ...]:
    """Every experiment that has a commit, with its change; those under way have no verdict yet.

    Earlier campaigns of the lab count as far as their scores can be compared.
    """
    tag = snapshot.campaign.tag if snapshot.campaign else ""
    return tuple(
        Tried(
            without_holdout(experiment), _read(lab.runs_dir / experiment.id / "diff.patch"), experiment.edit
        )
        for experiment in (*earlier_experiments(store, tag), *snapshot.experiments)
        if experiment.commit is not None and experiment.agent
    )


def hypothesis_of(snapshot: LabSnapshot, experiment: Experiment) -> Hypothesis | None:
    """The entry of the plan that an experiment tests."""
    return next((h for h in snapshot.hypotheses if h.id == experiment.hypothesis_id), None)


def read_program(lab: Lab) -> str:
    """program.md as it stands, "" without one."""
    return _read(lab.program_file)


def draw(snapshot: LabSnapshot, *parts: str) -> int:
    """A seed for backends that draw lots: the same step of the same campaign draws the same."""
    tag = snapshot.campaign.tag if snapshot.campaign else ""
    return int.from_bytes(hashlib.sha256("\0".join((tag, *parts)).encode()).digest()[:4], "big")


def _task(workspace: JuniorWorkspace, snapshot: LabSnapshot, experiment: Experiment) -> EditTask:
    campaign, incumbent = snapshot.campaign, snapshot.experiment(experiment.parent_id)
    assert campaign is not None and incumbent is not None
    return EditTask(
        program=read_program(workspace.lab),
        worktree=workspace.worktree(),
        editable=workspace.canvas(experiment.parent_commit),
        new_files=workspace.lab.config.lab.new_files,
        hypothesis=hypothesis_of(snapshot, experiment),
        incumbent=without_holdout(incumbent),
        metric=campaign.metric,
        direction=campaign.direction,
        noise_sd=snapshot.noise.sd if snapshot.noise else None,
        tried=tried(workspace.lab, workspace.store, snapshot),
        seed=draw(snapshot, workspace.agent, experiment.id),
    )


def _around(
    workspace: JuniorWorkspace,
    snapshot: LabSnapshot,
    experiment: Experiment,
    editable: tuple[str, ...],
    advice: tuple[str, ...],
) -> Surroundings:
    commit, repository = experiment.parent_commit, workspace.repository
    return replace(
        _surroundings(workspace.lab, snapshot, advice),
        canvas=tuple(Canvas(*file) for file in repository.read_files(commit, editable).items()),
        branch=tuple(e.id for e in lineage_of(snapshot, experiment.parent_id)),
        report=_report_of(workspace.lab, snapshot.experiment(experiment.parent_id)),
        own_report=_report_of(workspace.lab, experiment),
        protected=tuple(p for p in repository.list_files(commit) if p not in editable),
    )


def _surroundings(lab: Lab, snapshot: LabSnapshot, advice: tuple[str, ...]) -> Surroundings:
    assert snapshot.campaign is not None
    config = lab.config.lab
    return Surroundings(
        own_kind=lab.has_referee,
        command=config.command,
        timeout_s=lab.config.timeout_for(snapshot.campaign.setting.budget_s, snapshot.campaign.setting.clock),
        has_budget=lab.has_referee or config.budget_s is not None,
        documents=read_documents(lab),
        setting=snapshot.campaign.setting,
        devices=tuple(device.label for device in snapshot.devices if not device.problem),
        notes=tuple((note, _body(lab, note)) for note in snapshot.notes[:NOTES_READ]),
        new_files=lab.config.lab.new_files,
        noise_runs=snapshot.noise.runs if snapshot.noise else 0,
        max_runs=lab.config.decide.max_runs,
        secondary=snapshot.secondary,
        gates=tuple(f"{gate.name} must {gate.condition}" for gate in lab.config.metric.gates),
        advice=advice,
    )


def _report_of(lab: Lab, experiment: Experiment | None) -> tuple[str, str]:
    return (experiment.id if experiment else "", read_report(lab, experiment))


def _body(lab: Lab, note: Note) -> str:
    try:
        return read_note(lab.notes_dir, note.id)
    except (LabError, OSError):
        return ""  # taken away since the snapshot


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
