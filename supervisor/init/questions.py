"""What `init` asks: one table of questions in plain words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from sessions.network import Network
from supervisor.init.answers import (
    Answers,
    in_words,
    take_checks,
    take_command,
    take_direction,
    take_editable,
    take_end,
    take_juniors,
    take_metric,
    take_network,
    take_off_limits,
    take_timeout,
)
from supervisor.model.states import Clock, Direction
from supervisor.recognition.finding import Fact, Finding, Kind
from supervisor.recognition.surroundings import LONGEST_S, quoted
from supervisor.recognition.tree import Tree


@dataclass(frozen=True, slots=True)
class Question:
    """One question: how it is put, what Enter means, and how an answer is taken."""

    key: str
    asks: str
    help: str
    take: Callable[[Answers, str, Tree], Answers]  # raises BadAnswer
    default: Callable[[Answers], str]
    fact: Fact | None = None  # which gap it fills


def _editable_so_far(answers: Answers) -> str:
    return " ".join(map(shlex.quote, answers.finding.editable))


def _command_so_far(answers: Answers) -> str:
    if answers.finding.command:
        return answers.finding.command
    scripts = [path for path in answers.finding.editable if path.endswith(".py")]
    return f"{{python}} {shlex.quote(scripts[0])}" if len(scripts) == 1 else ""


def _end_so_far(answers: Answers) -> str:
    finding = answers.finding
    parts = (
        finding.experiments and f"{finding.experiments} experiments",
        finding.hours and f"{finding.hours:g}h",
        finding.usd and f"${finding.usd:g}",
    )
    return ", ".join(part for part in parts if part) or "100 experiments"


EDITABLE = Question(
    "editable",
    "What may change?",
    "Files, folders or globs of this repository, with spaces between. Everything else stays as it is.",
    take_editable,
    _editable_so_far,
    Fact.EDITABLE,
)
COMMAND = Question(
    "command",
    "How is it measured?",
    "The command line that measures, as you would type it at the top; {python} is the lab's own Python. It has to "
    "print the number: as `name: 1.23`, `METRIC name=1.23`, JSON, or alone as its last line.",
    take_command,
    _command_so_far,
    Fact.COMMAND,
)
METRIC = Question(
    "metric",
    "What is the number called?",
    "The name that stands before it where it is printed.",
    take_metric,
    lambda answers: answers.finding.metric,
    Fact.METRIC,
)
DIRECTION = Question(
    "direction",
    "Is better up or down?",
    "`down` for a loss, a time, a size; `up` for an accuracy, a score, a rate.",
    take_direction,
    lambda answers: {Direction.HIGHER: "up"}.get(answers.finding.direction or Direction.LOWER, "down"),
    Fact.DIRECTION,
)
CHECKS = Question(
    "checks",
    "What must stay true?",
    "A command that fails when it is not, as `make test`: it runs before every measurement. Or words: agents read "
    "them. `none` for neither.",
    take_checks,
    lambda answers: answers.finding.checks or answers.stays_true or "none",
    Fact.CHECKS,
)
TIMEOUT = Question(
    "timeout",
    "How long may one measurement take?",
    "As `90s`, `5m` or `1h`; what takes longer is ended, with all that it started, and counts as a failure.",
    take_timeout,
    lambda answers: in_words(answers.finding.timeout_s or LONGEST_S),
    Fact.TIMEOUT_S,
)
NETWORK = Question(
    "network",
    "What may a run reach?",
    "`none`: only servers that it starts itself. `loopback`: the servers of this machine as well. `open`: every "
    "address, which the code under test may use as it likes.",
    take_network,
    lambda answers: answers.finding.network or Network.NONE,
    Fact.NETWORK,
)
OFF_LIMITS = Question(
    "off-limits",
    "What is off-limits?",
    "In words, for the agents: ways that would win and must not be taken. Files that you did not name above are "
    "protected anyway.",
    take_off_limits,
    lambda answers: answers.off_limits or "nothing",
)
JUNIORS = Question(
    "juniors",
    "How many at once?",
    "Junior engineers; each has its own worktree. More than there are devices is fine: the rest thinks meanwhile.",
    take_juniors,
    lambda answers: str(answers.finding.juniors),
    Fact.JUNIORS,
)
END = Question(
    "end",
    "When shall it stop?",
    "`100 experiments`, `8h`, `$20`, several of them, or `never`; whichever comes first.",
    take_end,
    _end_so_far,
)
# A project of which nothing is known is asked all of these; the metric's name follows from the first run.
WIZARD = (EDITABLE, COMMAND, DIRECTION, CHECKS, TIMEOUT, OFF_LIMITS, JUNIORS, END)
GAPS = (EDITABLE, COMMAND, METRIC, DIRECTION, NETWORK)


def gaps_of(finding: Finding) -> tuple[Question, ...]:
    """The questions that a recognised lab leaves open: what is missing, and what was only guessed."""
    return tuple(q for q in GAPS if q.fact in finding.missing or q.fact in finding.guesses)


def first_guess(tree: Tree) -> Finding:
    """What Enter means in a repository that nothing is known of."""
    sources = [path for path in tree.files if re.search(r"\.(py|c|cc|cpp|rs|go|js|ts|jl|R)$", path)]
    finding = Finding(Kind.ASKED, 1.0, clock=Clock.WALL)
    if len(sources) != 1:
        return finding
    finding = finding.with_fact(Fact.EDITABLE, (sources[0],), sources[0], "the only source here", guess=True)
    if not sources[0].endswith(".py"):
        return finding
    command = f"{{python}} {quoted(sources[0])}"
    return finding.with_fact(Fact.COMMAND, command, sources[0], "the only source here", guess=True)
