"""What counts as an answer: a person's words in, checked values out. Flags of the command line are taken alike."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from sessions.network import Network
from supervisor.lab.config import LabSection
from supervisor.model.states import Direction
from supervisor.recognition.finding import Fact, Finding
from supervisor.recognition.printed import add_direction
from supervisor.recognition.tree import Tree

WORDS_FOR = {
    Direction.LOWER: frozenset("lower low down less smaller fewer min minimize minimise minimum l d".split()),
    Direction.HIGHER: frozenset(
        "higher high up more larger greater max maximize maximise maximum h u".split()
    ),
}
_DURATION = re.compile(
    r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>s|sec|secs|seconds?|m|min|mins|minutes?|h|hours?)?"
)
_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
_METRIC_NAME = re.compile(r"[A-Za-z_µ][\w.µ/@-]{0,60}")
NOTHING = frozenset({"", "-", "none", "nothing", "no"})


class BadAnswer(ValueError):  # noqa: N818 (reads as what it says)
    """An answer that can't be taken; the text is one line that says why."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What is known so far, and the words that go to the agents rather than into the configuration."""

    finding: Finding
    stays_true: str = ""  # said in words, where it is no command
    off_limits: str = ""

    def said(self, fact: Fact, value: Any, where: str = "you", why: str = "said so") -> Answers:
        """These answers with one more fact."""
        return replace(self, finding=self.finding.with_fact(fact, value, where, why))


def take_editable(answers: Answers, text: str, tree: Tree) -> Answers:
    """Paths and globs, divided by commas or spaces."""
    try:
        words = shlex.split(text.replace(",", " "))
    except ValueError as error:
        raise BadAnswer(f"{str(error).lower()} in {text!r}") from None
    if not words:
        raise BadAnswer("at least one file has to be open to change")
    files: list[str] = []
    globs: list[str] = []
    for word in (word.removeprefix("./") for word in words):
        matches = tree.matching(word) if "*" in word else (word,) if word in tree else tree.below(word)
        if not matches:
            raise BadAnswer(f"{word} is not among the committed files")
        if matches == (word,) and (tree.root / word).is_symlink():
            raise BadAnswer(f"{word} is a link to {(tree.root / word).readlink()}; name the file itself")
        files += matches
        if matches != (word,):
            globs.append(word if "*" in word else f"{word.rstrip('/')}/*")
    files = list(dict.fromkeys(files))
    _expect_valid(editable=tuple(files), new_files=tuple(globs))
    answers = answers.said(Fact.EDITABLE, tuple(files))
    return answers.said(Fact.NEW_FILES, tuple(globs)) if globs else answers


def take_command(answers: Answers, text: str, tree: Tree) -> Answers:
    """A command line; no shell reads it, so its first word has to be a program."""
    return answers.said(Fact.COMMAND, _command(text, tree))


def take_metric(answers: Answers, text: str, tree: Tree) -> Answers:
    """The metric's name as it is printed; its direction follows where the name tells."""
    name = text.strip()
    if not _METRIC_NAME.fullmatch(name):
        raise BadAnswer(f"{name!r} is no name of a metric: letters, digits and _ . / @ -, as it is printed")
    answers = answers.said(Fact.METRIC, name)
    evidence = answers.finding.evidence_for(Fact.DIRECTION)
    if evidence and evidence.where == "you":
        return answers
    return replace(answers, finding=add_direction(answers.finding, tree, ()))


def take_direction(answers: Answers, text: str, _: Tree) -> Answers:
    """Up or down, in many words."""
    answer = text.strip().lower()
    for direction, words in WORDS_FOR.items():
        if answer in words:
            return answers.said(Fact.DIRECTION, direction)
    raise BadAnswer(f"{text.strip()!r} is neither up nor down; say `lower` or `higher`")


def take_checks(answers: Answers, text: str, tree: Tree) -> Answers:
    """A command that must pass; what is no command is a rule in words."""
    words = text.strip()
    if words.lower() in NOTHING:
        return replace(answers.said(Fact.CHECKS, ""), stays_true="")
    try:
        return replace(answers.said(Fact.CHECKS, _command(words, tree)), stays_true="")
    except BadAnswer:
        if len(words.split()) < 2:  # one word that is no program is a slip, not a rule
            raise
        return replace(answers.said(Fact.CHECKS, ""), stays_true=words)


def take_checks_command(answers: Answers, text: str, tree: Tree) -> Answers:
    """A command that must pass, and nothing else."""
    return answers.said(Fact.CHECKS, "" if text.strip().lower() in NOTHING else _command(text, tree))


def take_timeout(answers: Answers, text: str, _: Tree) -> Answers:
    """How long one measurement may take, as `90s`, `5m` or `1h`."""
    return answers.said(Fact.TIMEOUT_S, duration_s(text))


def take_budget(answers: Answers, text: str, _: Tree) -> Answers:
    """Training seconds, as a duration."""
    return answers.said(Fact.BUDGET_S, duration_s(text))


def take_network(answers: Answers, text: str, _: Tree) -> Answers:
    """What runs may reach: none, loopback or open."""
    try:
        return answers.said(Fact.NETWORK, Network(text.strip().lower()))
    except ValueError:
        known = ", ".join(Network)
        raise BadAnswer(f"{text.strip()!r} is no reach of a network; there are {known}") from None


def take_off_limits(answers: Answers, text: str, tree: Tree) -> Answers:
    """Words for the agents. A file that was opened a moment ago can't be off-limits as well."""
    words = "" if text.strip().lower() in NOTHING else text.strip()
    for word in re.findall(r"[\w./-]+", words):
        if word in answers.finding.editable and word in tree:
            raise BadAnswer(f"{word} was said to be open to change; go `back` to the first question")
    return replace(answers, off_limits=words)


def take_juniors(answers: Answers, text: str, _: Tree) -> Answers:
    """How many junior engineers."""
    if not text.strip().isdigit() or not 1 <= int(text) <= 64:
        raise BadAnswer("a number from 1 to 64")
    return answers.said(Fact.JUNIORS, int(text))


def take_end(answers: Answers, text: str, _: Tree) -> Answers:
    """Limits, any of: `100 experiments`, `8h`, `$20`; `never` for none."""
    finding = replace(answers.finding, experiments=None, hours=None, usd=None)
    answers = replace(answers, finding=finding)
    if text.strip().lower() in NOTHING | {"never"}:
        return answers
    for part in re.split(r"\s*(?:,|\bor\b|\band\b)\s*", text.strip()):
        answers = _with_limit(answers, part)
    return answers


def duration_s(text: str) -> float:
    """Seconds. Raises BadAnswer."""
    match = _DURATION.fullmatch(text.strip().lower())
    if not match or not (seconds := float(match["number"]) * _UNIT_S[(match["unit"] or "s")[0]]):
        raise BadAnswer(f"{text.strip()!r} is no duration; say `90s`, `5m` or `1h`")
    return seconds


def in_words(seconds: float) -> str:
    """A duration that `duration_s` reads back."""
    for unit, size in (("h", 3600.0), ("m", 60.0)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.12g}{unit}"
    return f"{seconds:.12g}s"


def _with_limit(answers: Answers, part: str) -> Answers:
    if match := re.fullmatch(r"\$\s*(\d+(?:\.\d+)?)|(\d+(?:\.\d+)?)\s*(?:\$|usd|dollars?)", part.lower()):
        amount = float(match[1] or match[2])
        if amount:
            return answers.said(Fact.USD, amount)
    elif (match := re.fullmatch(r"(\d+)(?:\s*(?:experiments?|exps?|runs?))?", part.lower())) and int(
        match[1]
    ):
        return answers.said(Fact.EXPERIMENTS, int(match[1]))
    elif re.fullmatch(r"\d+(\.\d+)?\s*[hm]\w*", part.lower()):
        return answers.said(Fact.HOURS, round(duration_s(part) / 3600, 4))
    raise BadAnswer(f"{part!r} is no limit; say `100 experiments`, `8h`, `$20`, several of them, or `never`")


def _command(text: str, tree: Tree) -> str:
    line = text.strip()
    if not line:
        raise BadAnswer("a command is needed, as you would type it at the top of the repository")
    try:
        _expect_valid(command=line)
        words = shlex.split(line)
    except ValueError as error:
        raise BadAnswer(str(error)) from None
    program = words[0].removeprefix("./")
    if words[0] != "{python}" and not shutil.which(words[0]) and program not in tree:
        needs_shell = re.search(r"[=|&;]", line)
        hint = " (no shell reads it: for `&&`, `|` or VAR=1 say sh -c '…')" if needs_shell else ""
        raise BadAnswer(f"{words[0]} is neither a program here nor a committed file{hint}")
    return line


def _expect_valid(**fields: Any) -> None:
    try:
        LabSection(**fields)
    except ValidationError as error:
        raise BadAnswer(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
