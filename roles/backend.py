"""What thinks for an agent: the protocol that every backend answers to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import Hypothesis, Note
from supervisor.model.states import Direction


class Report(Protocol):
    """What a backend tells while it works, for the pane; plain text, never markup, whatever a model wrote."""

    def say(self, text: str) -> None:
        """Lines of thinking."""

    def stream(self, text: str) -> None:
        """A piece of a text as it comes, line ends included."""

    def tool(self, name: str, detail: str) -> None:
        """A tool that the model called, and on what."""


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What a backend is made for: an agent, and the places that are its own."""

    agent: str
    model: str  # "": the backend's own default
    root: Path  # the lab's
    folder: Path  # the agent's own: its configuration, its TMPDIR and its transcripts lie below
    auth: str = ""  # AgentSpec.auth
    command: str = ""  # AgentSpec.command
    agents_folder: Path | None = None  # the person's own agents, a TOML file each


@dataclass(frozen=True, slots=True)
class Canvas:
    """One editable file as it stands at a commit."""

    path: str  # relative to the lab's root
    text: str


@dataclass(frozen=True, slots=True)
class Tried:
    """One experiment of the past, with its change: what a backend learns from."""

    experiment: Experiment
    diff: str  # unified, "" when there is none
    edit: str  # Hypothesis.edit of what it tested, "" when there was none


@dataclass(frozen=True, slots=True)
class PlanBrief:
    """What the chief is given. Read-only in every sense."""

    program: str  # program.md
    canvas: tuple[Canvas, ...]  # as of the champion
    champion: Experiment | None
    metric: str
    direction: Direction
    noise_sd: float | None  # None before the first repeats
    tried: tuple[Tried, ...]  # everything in this lab, oldest first
    open_hypotheses: tuple[Hypothesis, ...]  # not yet tested: not to be proposed again
    notes: tuple[Note, ...]
    wanted: int  # how many hypotheses
    seed: int  # for backends that draw lots
    messages: tuple[str, ...] = ()  # what the person said
    text: str = ""  # all of this as Markdown, bounded; what a model is given
    worktree: Path | None = None  # the champion's code, to be read and nothing else


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step of thinking cost: the counters of this step alone, not of a session so far."""

    usd: float | None = 0.0  # None: the client does not say; the price table does, by `model`
    input_tokens: int = 0  # those read from or written to a cache left out
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    model: str = ""  # as the provider names it

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens

    def __add__(self, other: Cost) -> Cost:
        """Of two calls together; the dollars are unknown when either's are."""
        usd = None if self.usd is None or other.usd is None else self.usd + other.usd
        return Cost(
            usd,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            other.model or self.model,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What the chief returns."""

    hypotheses: tuple[Hypothesis, ...]
    summary: str  # a paragraph for plan.md
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True, slots=True)
class EditTask:
    """What a junior is given for one experiment."""

    program: str
    worktree: Path
    editable: tuple[str, ...]  # relative paths; only these may change
    new_files: tuple[str, ...]  # globs of files that may be added
    hypothesis: Hypothesis | None  # None: the plan is empty, form one yourself
    incumbent: Experiment
    metric: str
    direction: Direction
    noise_sd: float | None
    tried: tuple[Tried, ...]
    seed: int
    messages: tuple[str, ...] = ()
    repair: str = ""  # why the last attempt at this hypothesis failed, "" the first time
    text: str = ""  # all of this as Markdown, bounded; what a model is given


class EditResult(StrEnum):
    """How an edit ended."""

    EDITED = "edited"
    THOUGHT = "thought"  # reasoned, nothing worth running
    NOT_APPLICABLE = "not-applicable"  # the canvas lacks what the hypothesis wants to change
    UNCHANGED = "unchanged"  # it ended without an edit, and without saying why
    REFUSED = "refused"  # the model will not
    QUESTION = "question"  # it wants to know something of the person; `explanation` is the question


@dataclass(frozen=True, slots=True)
class EditOutcome:
    """What a junior's backend did to the worktree."""

    result: EditResult
    title: str  # what was changed, one line
    expectation: str  # written before the edit: what it should do to the metric and why
    explanation: str = ""  # for a thought or a change that could not be made
    edit: str = ""  # as Hypothesis.edit, so that it can be carried to another parent
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True, slots=True)
class Reflection:
    """What a verdict taught."""

    text: str  # expected, seen, what it means
    note_title: str = ""  # with note_text: worth another agent's time
    note_text: str = ""
    cost: Cost = field(default_factory=Cost)


class Backend(Protocol):
    """What thinks for one agent. Any call may take long and may raise `BackendError`."""

    name: str

    def plan(self, brief: PlanBrief, report: Report) -> Plan:
        """Read, think, return hypotheses. Never writes anywhere."""

    def edit(self, task: EditTask, report: Report) -> EditOutcome:
        """Change the canvas in `task.worktree` for one hypothesis, and nothing else."""

    def reflect(self, task: EditTask, experiment: Experiment, report: Report) -> Reflection:
        """Say what the verdict of `experiment` means. Never writes anywhere."""


class BackendError(Exception):
    """A backend could not do a step; the text is one line for the person. `cost` was spent all the same."""

    def __init__(self, text: str, cost: Cost | None = None) -> None:
        super().__init__(text)
        self.cost = cost or Cost()


class ParkedError(BackendError):
    """A rate, overload or usage limit: nothing is wrong, the same step may be tried again at `until`."""

    def __init__(self, text: str, until: float, cost: Cost | None = None) -> None:
        super().__init__(text, cost)
        self.until = until  # epoch seconds


class SpentError(BackendError):
    """The step was not begun: it could pass a budget."""
