"""The backend that runs a client: plan and reflect read-only, edit in the worktree, one repair of an unusable answer."""

from __future__ import annotations

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
    BackendError,
    Cost,
    EditOutcome,
    EditResult,
    EditTask,
    Office,
    Plan,
    PlanBrief,
    Reflection,
    Report,
)
from roles.clients.looks import Look, look_at, restore_link
from roles.clients.rooms import Auth, Rooms, auth_of
from roles.clients.running import Errand, Ran, run
from roles.clients.spec import AgentFile
from roles.clients.versions import told_version
from sessions.child_reach import can_limit
from supervisor.plain import one_line
from supervisor.snapshot import Experiment

T = TypeVar("T")
_LONGEST_WORDS = 600
_AGAIN = (
    "Your last answer could not be used: {error}\n\n"
    "Change no file now. Answer again, with nothing but one JSON object of this schema:\n\n{schema}\n"
)


@dataclass(slots=True)
class ClientBackend:
    """One agent's client, as its file describes it."""

    spec: AgentFile
    office: Office
    auth: Auth = Auth.AUTO
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    _introduced: bool = False

    @property
    def name(self) -> str:
        """See Backend."""
        return self.spec.name

    def plan(self, brief: PlanBrief, report: Report) -> Plan:
        """See Backend. Read-only by the client's own flags and, where there is one, by the system."""
        (hypotheses, summary), cost = self._read_only(
            lambda answer: plan_of(answer, wanted=brief.wanted),
            PLAN_SCHEMA,
            brief.text,
            brief.worktree,
            report,
        )
        return Plan(hypotheses, summary, cost)

    def reflect(self, task: EditTask, experiment: Experiment, report: Report) -> Reflection:
        """See Backend."""
        if not self.spec.answers or not self.spec.plan:
            return Reflection("")
        (text, title, note), cost = self._read_only(
            reflection_of, REFLECT_SCHEMA, task.text, task.worktree, report
        )
        return Reflection(text, title, note, cost)

    def edit(self, task: EditTask, report: Report) -> EditOutcome:
        """See Backend. It may write in the worktree and in its own rooms."""
        if not self.spec.edit:
            raise BackendError(f"{self.name} has no command line for edits")
        rooms = self._rooms()
        self._introduce(rooms, report)
        before = look_at(task.worktree)
        errand = self._errand(self.spec.edit, task.text, task.worktree, EDIT_SCHEMA, may_write=True)
        errand = replace(errand, canvas=task.editable)
        try:
            ran = run(self.spec, rooms, errand, report)
        finally:
            moved = restore_link(task.worktree, before)
        if moved:
            raise BackendError(f"{self.name} changed where git finds the repository; put back", ran.cost)
        changes = _changes(task.worktree, before)
        return self._outcome(task, ran, rooms, errand, changes, report)

    def _outcome(
        self,
        task: EditTask,
        ran: Ran,
        rooms: Rooms,
        errand: Errand,
        changes: tuple[str, ...],
        report: Report,
    ) -> EditOutcome:
        words = one_line(ran.transcript.last_words)[:_LONGEST_WORDS]
        if ran.transcript.refused and not changes:
            return EditOutcome(EditResult.REFUSED, _title(task), "", words, cost=ran.cost)
        answer, cost = self._edit_answer(ran, rooms, errand, report)
        if answer is None:
            result = EditResult.EDITED if changes else _without_answer(words)
            return EditOutcome(
                result, _title(task), "" if not changes else f"not said; {words}", words, cost=cost
            )
        if answer.result is EditResult.EDITED and not changes:
            said = f"it said that it edited ({answer.title}), and nothing changed"
            return EditOutcome(EditResult.UNCHANGED, answer.title, answer.expectation, said, cost=cost)
        if answer.result is not EditResult.EDITED and changes:
            report.say(f"it said {answer.result}, and changed {', '.join(changes[:5])}: not taken")
        return EditOutcome(answer.result, answer.title, answer.expectation, answer.explanation, cost=cost)

    def _edit_answer(
        self, ran: Ran, rooms: Rooms, errand: Errand, report: Report
    ) -> tuple[EditAnswer | None, Cost]:
        if not self.spec.answers:
            return None, ran.cost
        try:
            return self._answer(edit_of, ran, rooms, errand, report)
        except BackendError as error:  # the edit is there all the same
            report.say(f"no usable answer: {error}")
            return None, error.cost

    def _read_only(
        self,
        parse: Callable[[str | Mapping[str, Any]], T],
        schema: Mapping[str, Any],
        text: str,
        worktree: Path | None,
        report: Report,
    ) -> tuple[T, Cost]:
        if not self.spec.plan:
            raise BackendError(f"{self.name} has no read-only command line; choose another backend for this")
        rooms = self._rooms()
        self._introduce(rooms, report)
        place = worktree or self._empty()
        before = look_at(place)
        errand = self._errand(self.spec.plan, text, place, schema, may_write=False)
        try:
            ran = run(self.spec, rooms, errand, report)
            return self._answer(parse, ran, rooms, errand, report)
        finally:
            restore_link(place, before)
            self._tell_changes(place, before, report)

    def _answer(
        self,
        parse: Callable[[str | Mapping[str, Any]], T],
        ran: Ran,
        rooms: Rooms,
        errand: Errand,
        report: Report,
    ) -> tuple[T, Cost]:
        """What it answered; asked once more, read-only, when that can't be used. Raises BackendError."""
        if ran.transcript.refused:
            raise BackendError(f"{self.name} refused: {one_line(ran.transcript.refused)[:200]}", ran.cost)
        try:
            return _parsed(parse, ran), ran.cost
        except AnswerError as error:
            if not self.spec.plan:
                raise BackendError(f"{self.name}: {error}", ran.cost) from None
            report.say(f"the answer can't be used ({error}); asking once more")
            again = self._again(ran, errand, str(error))
        try:
            second = run(self.spec, rooms, again, report)
        except BackendError as error:
            error.cost = ran.cost + error.cost
            raise
        cost = ran.cost + second.cost
        try:
            return _parsed(parse, second), cost
        except AnswerError as error:
            raise BackendError(f"{self.name}: {error}", cost) from None

    def _again(self, ran: Ran, errand: Errand, error: str) -> Errand:
        text = _AGAIN.format(error=error, schema=errand.schema)
        session = ran.transcript.session if self.spec.resume else ""
        if not session:
            text = f"{errand.text}\n\n# Again\n\nYou said:\n\n{ran.transcript.last_words[-8000:]}\n\n{text}"
        counters = ran.transcript.counters() if session else {}
        again = self._errand(self.spec.plan, text, errand.worktree, errand.schema, may_write=False)
        return replace(again, session=session, counters=counters)

    def _errand(
        self, argv: tuple[str, ...], text: str, worktree: Path, schema: Mapping[str, Any], *, may_write: bool
    ) -> Errand:
        return Errand(argv, text, worktree, may_write, self.office.model, schema)

    def _rooms(self) -> Rooms:
        return Rooms(self.spec, self.office.folder, auth_of(self.spec, self.auth, self.env), self.env)

    def _empty(self) -> Path:
        place = self.office.folder / "empty"
        place.mkdir(parents=True, exist_ok=True)
        return place

    def _introduce(self, rooms: Rooms, report: Report) -> None:
        if self._introduced:
            return
        self._introduced = True
        limits = (
            "its files are limited by the system" if can_limit() else "no limits by the system on this machine"
        )
        report.say(f"{told_version(self.spec, rooms)}; auth {rooms.auth}; {limits}")

    def _tell_changes(self, place: Path, before: Look, report: Report) -> None:
        after = look_at(place)
        changes = after.changes_since(before)
        if changes or after.head != before.head:
            what = ", ".join(changes[:5]) or f"HEAD, now {after.head[:10]}"
            report.say(f"the worktree changed while {self.name} was to read only: {what}")


def _parsed(parse: Callable[[str | Mapping[str, Any]], T], ran: Ran) -> T:
    if ran.transcript.structured is not None:
        try:
            return parse(ran.transcript.structured)
        except AnswerError:
            pass  # its words may be better
    return parse(ran.transcript.last_words)


def _changes(worktree: Path, before: Look) -> tuple[str, ...]:
    return look_at(worktree).changes_since(before)


def _title(task: EditTask) -> str:
    return task.hypothesis.title if task.hypothesis else "an idea of its own"


def _without_answer(words: str) -> EditResult:
    return EditResult.QUESTION if words.endswith("?") else EditResult.UNCHANGED
