"""The backend that runs a client: plan and reflect read-only, edit in the worktree; it may be asked once more."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from roles.answers import (
    EDIT_SCHEMA,
    PLAN_SCHEMA,
    REFLECT_SCHEMA,
    AnswerError,
    EditAnswer,
    edit_of,
    plan_of,
    reflection_of,
)
from roles.backend import (
    BackendContext,
    BackendError,
    Cost,
    EditOutcome,
    EditResult,
    EditTask,
    Plan,
    PlanBrief,
    Reflection,
    Report,
)
from roles.backends.clients.client_setup import Auth, ClientSetup, auth_of
from roles.backends.clients.run import ClientCall, ClientResult, run, version_line
from roles.backends.clients.spec import AgentFile
from roles.backends.clients.worktree_state import WorktreeState, read_worktree, restore_link
from sessions.sandbox.client_sandbox import can_limit
from supervisor.model.experiment import Experiment
from supervisor.text import one_line

T = TypeVar("T")
Parse = Callable[[str | Mapping[str, Any]], T]
_LONGEST_EXPLANATION = 600
_LONGEST_REPEAT = 8_000  # of its own words, where it has no session to go on with
_AGAIN = (
    "Your last answer could not be used: {error}\n\n"
    "Change no file now. Answer again, with nothing but one JSON object of this schema:\n\n{schema}\n"
)


@dataclass(slots=True)
class ClientBackend:
    """One agent's client, as its file describes it."""

    spec: AgentFile
    context: BackendContext
    auth: Auth = Auth.AUTO
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))  # the person's
    name: str = field(init=False)
    _introduced: bool = False

    def __post_init__(self) -> None:
        self.name = self.spec.name

    def plan(self, brief: PlanBrief, report: Report) -> Plan:
        """See Backend. Read-only by the client's own flags and, where there is one, by the system."""
        worktree = brief.worktree or self._empty_folder()
        call = self._read_only(brief.text, worktree, PLAN_SCHEMA)
        (hypotheses, summary), cost = self._read(
            call, lambda answer: plan_of(answer, wanted=brief.wanted), report
        )
        return Plan(hypotheses, summary, cost)

    def reflect(self, task: EditTask, experiment: Experiment, report: Report) -> Reflection:  # noqa: ARG002
        """See Backend; the verdict is in the text."""
        if not self.spec.answers or self.spec.plan is None:
            return Reflection("")
        call = self._read_only(task.text, task.worktree, REFLECT_SCHEMA)
        (text, title, note), cost = self._read(call, reflection_of, report)
        return Reflection(text, title, note, cost)

    def edit(self, task: EditTask, report: Report) -> EditOutcome:
        """See Backend. It may write in the worktree and in its own folders."""
        if self.spec.edit is None:
            raise BackendError(f"{self.name} has no command line for edits; choose another backend for this")
        setup = self._setup(report)
        call = ClientCall(
            self.spec.edit, task.text, task.worktree, True, self.context.model, EDIT_SCHEMA, task.editable
        )
        before = read_worktree(task.worktree)
        try:
            result = run(setup, call, report)
        finally:
            moved = restore_link(task.worktree, before)
        if moved:
            raise BackendError(
                f"{self.name} changed where git finds the repository; it was put back", result.cost
            )
        changes = read_worktree(task.worktree).changes_since(before)
        if result.transcript.refused and not changes:
            words = one_line(result.transcript.refused)[:_LONGEST_EXPLANATION]
            return EditOutcome(EditResult.REFUSED, _title(task), "", words, cost=result.cost)
        answer, cost = self._edit_answer(setup, call, result, report)
        return _outcome(task, result, answer, cost, changes, report)

    def _edit_answer(
        self, setup: ClientSetup, call: ClientCall, result: ClientResult, report: Report
    ) -> tuple[EditAnswer | None, Cost]:
        try:
            if not self.spec.answers:
                return _parsed(edit_of, result), result.cost
            return self._answer(setup, call, result, edit_of, report)
        except AnswerError:
            return None, result.cost
        except BackendError as error:  # the edit is there all the same
            report.say(f"no usable answer: {error}")
            return None, error.cost

    def _read_only(self, text: str, worktree: Path, schema: Mapping[str, Any]) -> ClientCall:
        if self.spec.plan is None:
            raise BackendError(f"{self.name} has no read-only command line; choose another backend for this")
        return ClientCall(self.spec.plan, text, worktree, False, self.context.model, schema)

    def _read(self, call: ClientCall, parse: Parse[T], report: Report) -> tuple[T, Cost]:
        """What it answers, and its cost; what it changed in the worktree is told."""
        setup = self._setup(report)
        before = read_worktree(call.worktree)
        try:
            return self._answer(setup, call, run(setup, call, report), parse, report)
        finally:
            restore_link(call.worktree, before)
            changes = _changes_line(before, read_worktree(call.worktree))
            if changes:
                report.say(f"{self.name} was to read only, and the worktree changed: {changes}")

    def _answer(
        self, setup: ClientSetup, call: ClientCall, result: ClientResult, parse: Parse[T], report: Report
    ) -> tuple[T, Cost]:
        """What a run answered, asked for once more, read-only, when it can't be used, and the cost of both."""
        if result.transcript.refused:
            raise BackendError(
                f"{self.name} refused: {one_line(result.transcript.refused)[:200]}", result.cost
            )
        try:
            return _parsed(parse, result), result.cost
        except AnswerError as error:
            problem = str(error)
        if self.spec.plan is None:
            raise BackendError(f"{self.name}: {problem}", result.cost)
        report.say(f"the answer can't be used ({problem}); asking once more")
        try:
            second = run(setup, self._again(call, self.spec.plan, result, problem), report)
        except BackendError as error:
            error.cost = result.cost + error.cost
            raise
        cost = result.cost + second.cost
        try:
            return _parsed(parse, second), cost
        except AnswerError as error:
            raise BackendError(f"{self.name}: {error}", cost) from None

    def _again(
        self, call: ClientCall, argv: tuple[str, ...], result: ClientResult, problem: str
    ) -> ClientCall:
        text = _AGAIN.format(error=problem, schema=json.dumps(call.schema))
        session = result.transcript.session if self.spec.resume else ""
        counters = result.transcript.counters() if session else {}
        if not session:
            words = result.transcript.last_words[-_LONGEST_REPEAT:]
            text = f"{call.text}\n\n# Again\n\nYou said:\n\n{words}\n\n{text}"
        return replace(call, argv=argv, text=text, may_write=False, session=session, counters=counters)

    def _setup(self, report: Report) -> ClientSetup:
        auth = auth_of(self.spec, self.auth, self.env)
        setup = ClientSetup(self.spec, self.context.folder, auth, self.env)
        if not self._introduced:
            limits = "limited by the system" if can_limit() else "not limited: this system has no Landlock"
            report.say(f"{version_line(setup)}; auth: {auth}; its files: {limits}")
            self._introduced = True
        return setup

    def _empty_folder(self) -> Path:
        folder = self.context.folder / "empty"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _parsed(parse: Parse[T], result: ClientResult) -> T:
    """The structured answer, else the last words. Raises AnswerError."""
    if result.transcript.structured is not None:
        try:
            return parse(result.transcript.structured)
        except AnswerError:
            pass  # its words may be better
    return parse(result.transcript.last_words)


def _outcome(
    task: EditTask,
    result: ClientResult,
    answer: EditAnswer | None,
    cost: Cost,
    changes: tuple[str, ...],
    report: Report,
) -> EditOutcome:
    if answer is None:
        words = one_line(result.transcript.last_words)[-_LONGEST_EXPLANATION:]
        if changes:
            return EditOutcome(EditResult.EDITED, "", f"not said; {words}", words, cost=cost)
        ending = EditResult.QUESTION if words.endswith("?") else EditResult.UNCHANGED
        return EditOutcome(ending, _title(task), "", words or "it ended without a word", cost=cost)
    if answer.result is EditResult.EDITED and not changes:
        why = f"it said that it edited ({answer.title}), and nothing changed"
        return EditOutcome(EditResult.UNCHANGED, answer.title, answer.expectation, why, cost=cost)
    if answer.result is not EditResult.EDITED and changes:
        report.say(f"it answered {answer.result}, and changed {', '.join(changes[:5])}: not taken")
    title = answer.title or ("" if answer.result is EditResult.EDITED else _title(task))
    return EditOutcome(answer.result, title, answer.expectation, answer.explanation, cost=cost)


def _changes_line(before: WorktreeState, after: WorktreeState) -> str:
    changes = after.changes_since(before)
    head = [] if after.head == before.head else [f"HEAD is {after.head[:10] or 'gone'}"]
    return ", ".join([*changes[:5], *head])


def _title(task: EditTask) -> str:
    return task.hypothesis.title if task.hypothesis else "an idea of its own"
