"""The text that a model is given for one step: the same for the same snapshot, bounded, data fenced as data. Pure."""

from __future__ import annotations

from roles.answers import EDIT_SCHEMA, PLAN_SCHEMA, REFLECT_SCHEMA
from roles.backend import EditTask, PlanBrief
from roles.briefs.layout import BriefPart, data, fitted, listed
from roles.briefs.past import experiment_line, names_in, nearest
from roles.briefs.sections import (
    Surroundings,
    answer_part,
    branch_part,
    canvas_part,
    documents_part,
    entries_of,
    hypothesis_part,
    limits_part,
    measure_part,
    names_of,
    notes_part,
    open_part,
    opening,
    program_part,
    repair_part,
    report_part,
)
from supervisor.analysis.plan_mode import near_misses
from supervisor.model.experiment import Experiment
from supervisor.model.states import Role, Verdict
from supervisor.text import one_line

BRIEF_TOKENS = 12_000  # of an edit and of a reflection
PLAN_TOKENS = 40_000


def edit_text(task: EditTask, around: Surroundings) -> str:
    """One experiment, for a junior."""
    names = names_of(task.hypothesis)
    near = nearest(task.tried, names)
    parts = [
        *opening(Role.JUNIOR, task.messages, around),
        BriefPart("The hypothesis", lambda room: hypothesis_part(task.hypothesis, room), most=6_000),
        BriefPart("What went wrong before", lambda room: repair_part(task.repair, room), most=5_000),
        BriefPart("What it is held against", lambda _: measure_part(task.incumbent, task, around)),
        BriefPart("What may change", lambda room: limits_part(task.editable, task.new_files, around, room), most=2_500),
        BriefPart("The person's program", lambda room: program_part(task.program, room), 0.18),
        BriefPart("The project's own documents", lambda room: documents_part(around.documents, room), 0.14),
        BriefPart("The canvas", lambda room: canvas_part(around.canvas, room), 0.42),
        BriefPart("What a run tells as the code stands", lambda room: report_part(around.report, room), 0.10),
        BriefPart("Last verdicts on this branch", lambda room: branch_part(task, around, room), 0.10),
        BriefPart("What was tried near it", lambda room: entries_of(near, room, "further ones"), 0.20),
        BriefPart("Notes", lambda room: notes_part(around, names, room), 0.10),
        BriefPart("How to answer", lambda _: answer_part("Make the edit in your worktree, then end", EDIT_SCHEMA)),
    ]  # fmt: skip
    return f"# One experiment on {one_line(task.incumbent.id)}\n\n" + fitted(parts, BRIEF_TOKENS - 50)


def reflect_text(task: EditTask, experiment: Experiment, around: Surroundings) -> str:
    """The verdict of an experiment, for its junior."""
    own_diff = next((t.diff for t in task.tried if t.experiment.id == experiment.id), "")
    names = names_of(task.hypothesis) | names_in(experiment.title)
    outcome = f"{experiment_line(experiment)}\n{experiment.reason}"
    parts = [
        *opening(Role.JUNIOR, task.messages, around),
        BriefPart("What was expected", lambda room: data(experiment.expectation, room), most=3_000),
        BriefPart("What was seen", lambda room: data(outcome, room), most=3_000),
        BriefPart("What it was held against", lambda _: measure_part(task.incumbent, task, around)),
        BriefPart("Its change", lambda room: data(own_diff, room, info="diff"), 0.5),
        BriefPart("What its run told", lambda room: report_part(around.own_report, room), 0.2),
        BriefPart("What a run told before it", lambda room: report_part(around.report, room), 0.1),
        BriefPart("Last verdicts on this branch", lambda room: branch_part(task, around, room), 0.2),
        BriefPart("Notes that are there", lambda room: notes_part(around, names, room), 0.3),
        BriefPart("How to answer", lambda _: answer_part("Change nothing. End", REFLECT_SCHEMA)),
    ]  # fmt: skip
    return f"# What the verdict of {one_line(experiment.id)} means\n\n" + fitted(parts, BRIEF_TOKENS - 50)


def plan_text(brief: PlanBrief, around: Surroundings) -> str:
    """The whole lab, for the chief."""
    past, paths = [t.experiment for t in brief.tried], tuple(c.path for c in brief.canvas)
    lines = [experiment_line(experiment) for experiment in past[::-1]]
    close = {e.id for e in near_misses(past, brief.noise_sd)[:20]}
    untested = brief.open_hypotheses
    examples = [
        t for t in brief.tried[::-1] if t.experiment.id in close or t.experiment.verdict is Verdict.KEEP
    ]
    parts = [
        *opening(Role.CHIEF, brief.messages, around),
        BriefPart("What is wanted", lambda _: f"{brief.wanted} hypotheses, best first. You read; you change nothing."),
        BriefPart("What they are held against", lambda _: measure_part(brief.champion, brief, around)),
        BriefPart("What may change", lambda room: limits_part(paths, around.new_files, around, room), most=2_500),
        BriefPart("The person's program", lambda room: program_part(brief.program, room), 0.12),
        BriefPart("The project's own documents", lambda room: documents_part(around.documents, room), 0.10),
        BriefPart("The canvas at the champion", lambda room: canvas_part(brief.canvas, room), 0.35),
        BriefPart("What a run of the champion tells", lambda room: report_part(around.report, room), 0.08),
        BriefPart("Open hypotheses: not to be proposed again", lambda room: open_part(untested, room), 0.08),
        BriefPart("Every experiment, newest first", lambda room: listed(lines, room, "older ones"), 0.20),
        BriefPart("Keeps and near misses, with their changes", lambda room: entries_of(examples, room, "older"), 0.17),
        BriefPart("Notes", lambda room: notes_part(around, frozenset(), room), 0.08),
        BriefPart("How to answer", lambda _: answer_part("Change nothing. End", PLAN_SCHEMA)),
    ]  # fmt: skip
    return "# A plan for the lab\n\n" + fitted(parts, PLAN_TOKENS - 50)
