"""The backend that runs a client: plan and reflect read-only, edit in the worktree."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
from roles.backends.clients.answer_or_repair import Client, parsed
from roles.backends.clients.client_setup import Auth, ClientSetup, auth_of
from roles.backends.clients.run import ClientCall, ClientResult, version_line
from roles.backends.clients.spec import AgentFile
from roles.backends.clients.worktree_state import WorktreeState, read_worktree, restore_link
from sessions.sandbox.client_sandbox import can_limit
from supervisor.model.experiment import Experiment
from supervisor.text import one_line

_LONGEST_WORDS = 600


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
        place = brief.worktree or self._empty()
        client, call = self._read_only(brief.text, place, PLAN_SCHEMA, report)
        with self._watched(place, report):
            (hypotheses, summary), cost = client.answer(
                lambda answer: plan_of(answer, wanted=brief.wanted), client.run(call), call
            )
        return Plan(hypotheses, summary, cost)

    def reflect(self, task: EditTask, experiment: Experiment, report: Report) -> Reflection:  # noqa: ARG002
        """See Backend; the verdict is in the text."""
        if not self.spec.answers or self.spec.plan is None:
            return Reflection("")
        client, call = self._read_only(task.text, task.worktree, REFLECT_SCHEMA, report)
        with self._watched(task.worktree, report):
            (text, title, note), cost = client.answer(reflection_of, client.run(call), call)
        return Reflection(text, title, note, cost)

    def edit(self, task: EditTask, report: Report) -> EditOutcome:
        """See Backend. It may write in the worktree and in its own folders."""
        if self.spec.edit is None:
            raise BackendError(f"{self.name} has no command line for edits; choose another backend for this")
        client = self._client(report)
        call = ClientCall(
            self.spec.edit, task.text, task.worktree, True, self.context.model, EDIT_SCHEMA, task.editable
        )
        before = read_worktree(task.worktree)
        try:
            result = client.run(call)
        finally:
            moved = restore_link(task.worktree, before)
        if moved:
            raise BackendError(
                f"{self.name} changed where git finds the repository; it was put back", result.cost
            )
        changes = read_worktree(task.worktree).changes_since(before)
        if result.transcript.refused and not changes:
            words = one_line(result.transcript.refused)[:_LONGEST_WORDS]
            return EditOutcome(EditResult.REFUSED, _title(task), "", words, cost=result.cost)
        return _outcome(task, result, *self._answer(client, result, call), changes, report)

    def _answer(
        self, client: Client, result: ClientResult, call: ClientCall
    ) -> tuple[EditAnswer | None, Cost]:
        try:
            if not self.spec.answers:
                return parsed(edit_of, result), result.cost
            return client.answer(edit_of, result, call)
        except AnswerError:
            return None, result.cost
        except BackendError as error:  # the edit is there all the same
            client.report.say(f"no usable answer: {error}")
            return None, error.cost

    def _read_only(
        self, text: str, place: Path, schema: Mapping[str, Any], report: Report
    ) -> tuple[Client, ClientCall]:
        if self.spec.plan is None:
            raise BackendError(f"{self.name} has no read-only command line; choose another backend for this")
        return self._client(report), ClientCall(
            self.spec.plan, text, place, False, self.context.model, schema
        )

    def _client(self, report: Report) -> Client:
        auth = auth_of(self.spec, self.auth, self.env)
        setup = ClientSetup(self.spec, self.context.folder, auth, self.env)
        if not self._introduced:
            limits = "limited by the system" if can_limit() else "not limited: this system has no Landlock"
            report.say(f"{version_line(setup)}; auth: {auth}; its files: {limits}")
            self._introduced = True
        return Client(setup, report)

    @contextmanager
    def _watched(self, place: Path, report: Report) -> Iterator[None]:
        before = read_worktree(place)
        try:
            yield
        finally:
            restore_link(place, before)
            changes = _changes_line(before, read_worktree(place))
            if changes:
                report.say(f"{self.name} was to read only, and the worktree changed: {changes}")

    def _empty(self) -> Path:
        place = self.context.folder / "empty"
        place.mkdir(parents=True, exist_ok=True)
        return place


def _outcome(
    task: EditTask,
    result: ClientResult,
    answer: EditAnswer | None,
    cost: Cost,
    changes: tuple[str, ...],
    report: Report,
) -> EditOutcome:
    if answer is None:
        words = one_line(result.transcript.last_words)[-_LONGEST_WORDS:]
        if changes:
            return EditOutcome(EditResult.EDITED, _title(task), f"not said; {words}", words, cost=cost)
        ending = EditResult.QUESTION if words.endswith("?") else EditResult.UNCHANGED
        return EditOutcome(ending, _title(task), "", words or "it ended without a word", cost=cost)
    if answer.result is EditResult.EDITED and not changes:
        why = f"it said that it edited ({answer.title}), and nothing changed"
        return EditOutcome(EditResult.UNCHANGED, answer.title, answer.expectation, why, cost=cost)
    if answer.result is not EditResult.EDITED and changes:
        report.say(f"it answered {answer.result}, and changed {', '.join(changes[:5])}: not taken")
    title = answer.title or _title(task)
    return EditOutcome(answer.result, title, answer.expectation, answer.explanation, cost=cost)


def _changes_line(before: WorktreeState, after: WorktreeState) -> str:
    changes = after.changes_since(before)
    head = [] if after.head == before.head else [f"HEAD is {after.head[:10] or 'gone'}"]
    return ", ".join([*changes[:5], *head])


def _title(task: EditTask) -> str:
    return task.hypothesis.title if task.hypothesis else "an idea of its own"
