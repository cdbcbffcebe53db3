"""A client asked for an answer, and once more, read-only, when the answer can't be used."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from roles.answers import AnswerError
from roles.backend import BackendError, Cost, Report
from roles.backends.clients.client_setup import ClientSetup
from roles.backends.clients.run import ClientCall, ClientResult, run
from roles.backends.clients.spec import AgentFile
from supervisor.text import one_line

T = TypeVar("T")
Parse = Callable[[str | Mapping[str, Any]], T]
_LONGEST_WORDS = 8_000
_AGAIN = (
    "Your last answer could not be used: {error}\n\n"
    "Change no file now. Answer again, with nothing but one JSON object of this schema:\n\n{schema}\n"
)


@dataclass(frozen=True, slots=True)
class Client:
    """A client that tells what it does."""

    setup: ClientSetup
    report: Report

    @property
    def spec(self) -> AgentFile:
        """What its file says."""
        return self.setup.spec

    def run(self, call: ClientCall) -> ClientResult:
        """Run it to its end. Raises ParkedError or BackendError."""
        return run(self.setup, call, self.report)

    def answer(self, parse: Parse[T], result: ClientResult, call: ClientCall) -> tuple[T, Cost]:
        """What a run answered, and what it cost with the repair. Raises BackendError."""
        if result.transcript.refused:
            raise BackendError(
                f"{self.spec.name} refused: {one_line(result.transcript.refused)[:200]}", result.cost
            )
        try:
            return parsed(parse, result), result.cost
        except AnswerError as error:
            problem = str(error)
        if self.spec.plan is None:
            raise BackendError(f"{self.spec.name}: {problem}", result.cost)
        self.report.say(f"the answer can't be used ({problem}); asking once more")
        try:
            second = self.run(self._again(result, call, self.spec.plan, problem))
        except BackendError as error:
            error.cost = result.cost + error.cost
            raise
        cost = result.cost + second.cost
        try:
            return parsed(parse, second), cost
        except AnswerError as error:
            raise BackendError(f"{self.spec.name}: {error}", cost) from None

    def _again(
        self, result: ClientResult, call: ClientCall, argv: tuple[str, ...], problem: str
    ) -> ClientCall:
        text = _AGAIN.format(error=problem, schema=json.dumps(call.schema))
        session = result.transcript.session if self.spec.resume else ""
        counters = result.transcript.counters() if session else {}
        if not session:
            words = result.transcript.last_words[-_LONGEST_WORDS:]
            text = f"{call.text}\n\n# Again\n\nYou said:\n\n{words}\n\n{text}"
        return replace(call, argv=argv, text=text, may_write=False, session=session, counters=counters)


def parsed(parse: Parse[T], result: ClientResult) -> T:
    """The structured answer, else the last words. Raises AnswerError."""
    if result.transcript.structured is not None:
        try:
            return parse(result.transcript.structured)
        except AnswerError:
            pass  # its words may be better
    return parse(result.transcript.last_words)
