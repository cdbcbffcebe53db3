"""The loop of one step: ask, do what the model calls for, ask again, until it answers or a limit is reached."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from roles.answers import AnswerError
from roles.backend import BackendError, Cost, Report
from roles.backends.anthropic.request import BrokenStreamError, MessagesClient, Reply, ToolCall
from roles.backends.anthropic.tools import Toolbox
from roles.backends.anthropic.worktree_files import ToolError

_T = TypeVar("_T")
_CACHED = {"cache_control": {"type": "ephemeral"}}
_GO_ON = "Your answer was cut at its length limit. Go on from where it ended; write less at once."
_REPAIR = (
    "Your answer can't be used: {why}. Nothing else is wrong. Give the whole answer again, as the brief says."
)
LOGS_KEPT = 300  # of one agent
MOST_CUTS = 3  # turns cut at their length, one after another


@dataclass(frozen=True, slots=True)
class StepLimits:
    """Of one step."""

    silence_s: float = 300.0
    retry_pause_s: float = 2.0  # before a turn that broke is asked for again
    turns: int = 60
    turn_tokens: int = 32_000  # of output
    step_tokens: int = 200_000  # of output, all turns together


class ConversationLog:
    """What was asked and answered in one step, as JSON lines for a person to read; never a key or a header."""

    def __init__(self, folder: Path, kind: str, secret: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in sorted(folder.glob("*.jsonl"))[: -LOGS_KEPT + 1]:
            old.unlink(missing_ok=True)
        seconds, rest = divmod(time.time_ns(), 1_000_000_000)  # one instant: their names sort by it
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(seconds))
        self.path = folder / f"{stamp}-{rest:09d}-{kind}.jsonl"
        self._secret = secret

    def add(self, what: str, content: Any) -> None:
        """One entry."""
        entry = json.dumps({"at": round(time.time(), 3), what: content}, ensure_ascii=False, default=str)
        with self.path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(redacted(entry, self._secret) + "\n")


def redacted(text: str, secret: str) -> str:
    """The text without the secret, should it stand there."""
    return text.replace(secret, "[key]") if secret else text


class RefusedError(Exception):
    """The model will not; the text is its own."""


class UnreadableError(Exception):
    """The answer could not be used twice; the text says why."""


@dataclass(slots=True)
class Conversation:
    """One step with the model."""

    client: MessagesClient
    toolbox: Toolbox
    report: Report
    log: ConversationLog
    limits: StepLimits
    secret: str
    cost: Cost = field(default_factory=Cost)
    before_edit: str = ""  # what it said until the first change
    _messages: list[dict[str, Any]] = field(default_factory=list)

    def run(self, system: str, brief: str, read: Callable[[str], _T]) -> _T:
        """What `read` makes of the answer. Raises RefusedError, UnreadableError, BackendError."""
        self._messages = [_user({"type": "text", "text": brief or "(There is no brief.)"})]
        self.log.add("model", self.client.model)
        self.log.add("system", system)
        self.log.add("user", brief)
        cuts = repairs = 0
        for _ in range(self.limits.turns):
            reply = self._turn(system)
            if reply.stop == "refusal":
                raise RefusedError(reply.refusal or "it gives no reason")
            if reply.stop == "max_tokens":
                cuts += 1
                self._cut_short(reply, cuts)
                continue
            cuts = 0
            if reply.calls:
                self._messages += [_assistant(reply.content), self._results(reply)]
            elif reply.stop != "pause_turn":
                try:
                    return read(reply.text)
                except AnswerError as error:
                    repairs += 1
                    if repairs > 1:
                        raise UnreadableError(str(error)) from None
                    self.report.say(f"the answer can't be used ({error}); asking once more")
                    self._say(reply.content, _REPAIR.format(why=error))
            else:
                self._messages.append(_assistant(reply.content))
        raise BackendError(f"no answer after {self.limits.turns} turns; the step was given up", self.cost)

    def _turn(self, system: str) -> Reply:
        if self.cost.output_tokens >= self.limits.step_tokens:
            raise BackendError(
                f"no answer after {self.cost.output_tokens:,} tokens; the step was given up", self.cost
            )
        try:
            reply = self._ask(system)
        except BrokenStreamError as broken:
            self.cost += broken.cost
            self.report.stream("\n")
            self.report.say(f"the model's stream: {broken}; asking once more")
            self.log.add("broken", str(broken))
            time.sleep(self.limits.retry_pause_s)
            try:
                reply = self._ask(system)
            except BrokenStreamError as second:
                self.cost += second.cost
                text = (
                    f"the Anthropic API answered twice, but not whole: {second}; the step can be tried again"
                )
                raise BackendError(text, self.cost) from None
        self.cost += reply.cost
        self.log.add("assistant", reply.content)
        self.log.add("ended", {"stop": reply.stop, "tokens": _tokens(reply.cost)})
        if reply.stop == "model_context_window_exceeded":
            raise BackendError(
                "the conversation no longer fits the model's context; the step was given up", self.cost
            )
        if not self.toolbox.changed:
            self.before_edit = f"{self.before_edit}\n{reply.text}".strip()
        return reply

    def _ask(self, system: str) -> Reply:
        *earlier, last = self._messages
        cached_last = {**last, "content": [*last["content"][:-1], {**last["content"][-1], **_CACHED}]}
        if earlier:  # the brief keeps its own mark: all that comes later may change
            first = earlier[0]
            earlier[0] = {**first, "content": [{**first["content"][0], **_CACHED}]}
        tools = [tool.schema() for tool in self.toolbox.tools]
        try:
            return self.client.turn(
                [{"type": "text", "text": system, **_CACHED}],
                [*earlier, cached_last],
                tools,
                self.limits.turn_tokens,
                self.report,
            )
        except BackendError as error:
            error.args = (redacted(str(error), self.secret),)  # a server might repeat what it was sent
            self.log.add("failed", str(error))
            error.cost = self.cost + error.cost
            raise

    def _results(self, reply: Reply) -> dict[str, Any]:
        results = []
        for call in reply.calls:
            text, failed = self._use(call)
            results.append(
                {"type": "tool_result", "tool_use_id": call.id, "content": text, "is_error": failed}
            )
        self.log.add("results", results)
        return _user(*results)

    def _use(self, call: ToolCall) -> tuple[str, bool]:
        detail = self.toolbox.detail(call.name, call.arguments)
        try:
            result, failed = self.toolbox.use(call.name, call.arguments), False
        except ToolError as error:
            result, failed = str(error), True
        self.report.tool(call.name, f"{detail} — refused: {result}" if failed else detail)
        return redacted(result, self.secret) or "(empty)", failed

    def _cut_short(self, reply: Reply, cuts: int) -> None:
        if cuts >= MOST_CUTS:
            text = f"the answer was cut at {self.limits.turn_tokens:,} tokens {cuts} times; the step was given up"
            raise BackendError(text, self.cost)
        # A call that was cut has half its arguments: as if it had never been made.
        self._say([block for block in reply.content if block["type"] != "tool_use"], _GO_ON)

    def _say(self, answer: list[dict[str, Any]], text: str) -> None:
        self._messages += [_assistant(answer), _user({"type": "text", "text": text})]
        self.log.add("user", text)


def _assistant(content: list[dict[str, Any]]) -> dict[str, Any]:
    says_something = any(block["type"] in ("text", "tool_use") for block in content)
    nothing = [] if says_something else [{"type": "text", "text": "(nothing)"}]
    return {"role": "assistant", "content": [*content, *nothing]}


def _user(*content: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def _tokens(cost: Cost) -> dict[str, int]:
    return {
        "input": cost.input_tokens, "output": cost.output_tokens,
        "cache_read": cost.cache_read_tokens, "cache_write": cost.cache_write_tokens,
    }  # fmt: skip
