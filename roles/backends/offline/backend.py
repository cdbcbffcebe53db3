"""The embedded backend: plans, edits and reflects by search. No model thinks here."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from contextlib import suppress

from roles.backend import (
    BackendError,
    Canvas,
    EditOutcome,
    EditResult,
    EditTask,
    Plan,
    PlanBrief,
    Reflection,
    Report,
)
from roles.backends.offline.canvas import read_knobs
from roles.backends.offline.catalogue import CATALOGUE
from roles.backends.offline.edits import Edit, NotApplicableError, from_json, to_json
from roles.backends.offline.phrases import expectation_of, hypothesis_of, reflection_on, title_of
from roles.backends.offline.proposals import Proposal, Search, distinct
from roles.backends.offline.source import UnreadableCanvasError
from roles.backends.offline.words import UNDERSTOOD, read_words
from sessions.files import write_atomically
from supervisor.model.experiment import Experiment

_ADVICE = (
    "give it top-level `NAME = number` lines, or choose a backend that thinks (launch --chief … --junior …)"
)


class OfflineBackend:
    """Thompson sampling over (knob, direction) and structural edits; the same inputs give the same plan."""

    name = "offline"

    def plan(self, brief: PlanBrief, report: Report) -> Plan:
        """Hypotheses that nobody tried and no open one holds. Raises BackendError on an unknown canvas."""
        canvases = _searchable(brief.canvas)
        if not canvases:
            return _empty_plan(brief, report)
        canvas = canvases[brief.seed % len(canvases)]
        champion = brief.champion
        search = Search(
            canvas,
            champion.id if champion else None,
            brief.tried,
            brief.noise_sd,
            champion.metric if champion else None,
        )
        report.say(
            f"A search, not a model: {len(search.verdicts)} verdicts read, "
            f"{len(read_knobs(canvas.text))} knobs in {canvas.path}."
        )
        open_edits = [from_json(hypothesis.edit) for hypothesis in brief.open_hypotheses]
        for edit in open_edits:
            search.take(edit)
        chosen = _of_messages(brief.messages, search)
        chosen += distinct(
            search.ranked(brief.seed),
            brief.wanted - len(chosen),
            open_subjects={edit.subject for edit in open_edits if edit},
            used={proposal.edit.subject for proposal in chosen},
        )
        hypotheses = tuple(hypothesis_of(proposal) for proposal in chosen[: brief.wanted])
        for hypothesis in hypotheses:
            report.say(f"{hypothesis.title}: {hypothesis.rationale}")
        return Plan(hypotheses, _summary(search, len(hypotheses), brief.wanted))

    def edit(self, task: EditTask, report: Report) -> EditOutcome:
        """Apply the hypothesis, or form one when there is none. Raises BackendError on an unknown canvas."""
        canvases = _searchable(_canvases(task))
        if not canvases:
            return EditOutcome(EditResult.THOUGHT, "Nothing to step", "", _why_none(_canvases(task)))
        canvas = _canvas_of_hypothesis(task, canvases)
        search = Search(canvas, task.incumbent.id, task.tried, task.noise_sd, task.incumbent.metric)
        if task.repair:
            return _refused(
                task, f"the edit failed ({task.repair}), and a search knows only one way to make it"
            )
        edit = _edit_of_hypothesis(task, canvas) if task.hypothesis else _own_idea(task, search)
        if edit is None and task.hypothesis:
            return _refused(task, f"not understood: {UNDERSTOOD}")
        if edit is None:
            return EditOutcome(
                EditResult.THOUGHT, "Nothing left to try", "", "every step and edit it knows was tried here"
            )
        expectation = expectation_of(edit, search.beliefs.of(edit), task.metric)
        try:
            text = edit.apply(canvas.text)
        except NotApplicableError as error:
            return _refused(task, str(error))
        report.say(expectation)
        _write(task, canvas.path, text)
        report.say(f"{canvas.path}: {edit.words}")
        return EditOutcome(EditResult.EDITED, title_of(edit), expectation, edit=to_json(edit))

    def reflect(self, task: EditTask, experiment: Experiment, report: Report) -> Reflection:
        """Expected, seen, and what it means beside the noise."""
        reflection = reflection_on(experiment, task.noise_sd, task.metric)
        report.say(reflection.text)
        return reflection


def _searchable(canvases: Sequence[Canvas]) -> list[Canvas]:
    """The canvases with a knob to turn or code to restructure. Raises BackendError when there is no canvas at all."""
    if not canvases:
        raise BackendError(f"offline cannot work on this canvas: there is no editable file; {_ADVICE}")
    return [canvas for canvas in canvases if not _why_not(canvas)]


def _why_not(canvas: Canvas) -> str:
    """Why a search can do nothing with this file; "" when it can."""
    try:
        knobs = read_knobs(canvas.text)
    except UnreadableCanvasError as error:
        return f"{canvas.path}: {error}"
    if knobs or any(entry.apply(canvas.text) for entry in CATALOGUE.values()):
        return ""
    return f"{canvas.path} has no top-level number to step and nothing that its catalogue recognises"


def why_nothing_to_step(canvases: Sequence[Canvas]) -> str:
    """Why a search can do nothing with any of these files; "" when it can with one."""
    return _why_none(canvases) if canvases and all(map(_why_not, canvases)) else ""


def _why_none(canvases: Sequence[Canvas]) -> str:
    return f"offline cannot work on this canvas: {'; '.join(map(_why_not, canvases))}; {_ADVICE}"


def _empty_plan(brief: PlanBrief, report: Report) -> Plan:
    why = _why_none(brief.canvas)
    report.say(why)
    return Plan((), why)


def _canvas_of_hypothesis(task: EditTask, canvases: Sequence[Canvas]) -> Canvas:
    """The file that the hypothesis' edit fits; without one, whichever the lot falls on."""
    by_lot = canvases[task.seed % len(canvases)]
    if task.hypothesis is None:
        return by_lot
    for canvas in canvases:
        edit = _edit_of_hypothesis(task, canvas)
        with suppress(NotApplicableError):
            if edit is not None and edit.apply(canvas.text):
                return canvas
    return by_lot


def _of_messages(messages: Sequence[str], search: Search) -> list[Proposal]:
    """What the person asked for in words it can read, newest first."""
    proposals = []
    for message in reversed(messages):
        edit = read_words(message, search.canvas.text)
        if edit and search.take(edit):
            proposals.append(Proposal(edit, search.beliefs.of(edit), message=message))
    return proposals


def _summary(search: Search, drawn: int, wanted: int) -> str:
    kept = [item for item in search.verdicts if item.kept]
    text = (
        f"A search drew these {drawn} from its beliefs about {search.canvas.path}: "
        f"{len(search.verdicts)} verdicts so far, {len(kept)} of them keeps."
    )
    if kept:
        best = max(kept, key=lambda item: item.gain)
        text += f" What paid most: {title_of(best.edit)}, {best.words}."
    if drawn < wanted:
        text += f" It knows no more untried steps here ({wanted} were wanted)."
    return text


def _canvases(task: EditTask) -> list[Canvas]:
    root = task.worktree.resolve()
    files = ((path, (root / path).resolve()) for path in task.editable)
    return [
        Canvas(path, file.read_bytes().decode("utf-8"))
        for path, file in files
        if file.is_relative_to(root) and file.is_file()
    ]


def _edit_of_hypothesis(task: EditTask, canvas: Canvas) -> Edit | None:
    """The hypothesis' own edit, else what its words say."""
    assert task.hypothesis is not None
    edit = from_json(task.hypothesis.edit)
    hypothesis = task.hypothesis
    return edit or read_words(hypothesis.change, canvas.text) or read_words(hypothesis.title, canvas.text)


def _own_idea(task: EditTask, search: Search) -> Edit | None:
    """With an empty plan: what the person asked for, else the best draw."""
    for proposal in _of_messages(task.messages, search):
        return proposal.edit
    return next((proposal.edit for proposal in search.ranked(task.seed)), None)


def _refused(task: EditTask, why: str) -> EditOutcome:
    title = task.hypothesis.title if task.hypothesis else "No edit"
    return EditOutcome(EditResult.NOT_APPLICABLE, title, "", f"offline is a search, not a model: {why}")


def _write(task: EditTask, path: str, text: str) -> None:
    """Replace the canvas whole or not at all, its mode kept; only a regular editable file of the worktree."""
    root = task.worktree.resolve()
    file = root / path
    if path not in task.editable or file.resolve() != file or not file.is_relative_to(root):
        raise BackendError(f"offline will not write {path}: it is not an editable file of the worktree")
    mode = stat.S_IMODE(file.stat().st_mode)
    write_atomically(file, text)
    file.chmod(mode)
