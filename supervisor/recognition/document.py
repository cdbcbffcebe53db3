"""What a person's document says of a lab: what may change and what not, how to run it, what counts, which way is up.

Headings with bullets or tables below them, and plain sentences, in the words that people use. Each thing with its line;
what is said in two ways is a doubt, and a doubt is for the person.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from supervisor.model.states import Direction
from supervisor.recognition import wordings
from supervisor.recognition.tree import Tree
from supervisor.recognition.wordings import Topic

PROGRAMS = ("program.md", "PROGRAM.md", "AUTORESEARCH.md", "autoresearch.md", "docs/program.md")


@dataclass(frozen=True, slots=True)
class Said:
    """One thing, and the line of the document that says it."""

    value: str
    line: int


@dataclass(slots=True)
class Told:
    """All that one document tells."""

    editable: list[Said] = field(default_factory=list)  # files, folders and globs, as they are written
    forbidden: list[Said] = field(default_factory=list)
    commands: list[Said] = field(default_factory=list)
    metrics: list[Said] = field(default_factory=list)
    secondary: list[Said] = field(default_factory=list)
    directions: list[Said] = field(default_factory=list)  # "lower" or "higher"


def read_document(text: str, tree: Tree) -> Told:
    """What the text says, as far as it speaks of the tree's files."""
    told, topic, fenced = Told(), Topic.OTHER, False
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        elif fenced:
            _take_command(
                told, line.strip(), number, tree, sure=topic is Topic.RUN or _runs_before(lines, number)
            )
            _take_metric(told, line, number)
        elif heading := wordings.HEADING.match(line):
            topic = _topic_of(heading["hash"] or heading["bold"] or "")
            if topic is Topic.OTHER:  # a headline may be a sentence: "Lower is better"
                _take_sentence(told, line, number, tree)
        else:
            _take_line(told, line, number, topic, tree)
    return told


def _take_line(told: Told, line: str, number: int, topic: Topic, tree: Tree) -> None:
    lead = wordings.LEAD.match(line)
    named = _topic_of(lead["label"]) if lead else Topic.OTHER
    here = named if named is not Topic.OTHER else topic
    rest = lead["rest"] if lead and named is not Topic.OTHER else line
    if here is Topic.CLOSED:
        told.forbidden += (Said(path, number) for path in _paths(rest, tree))
    elif here is Topic.OPEN and not wordings.NOT.search(rest):
        told.editable += (Said(path, number) for path in _first_paths(rest, tree))
    else:
        _take_sentence(told, line, number, tree)
    if here is Topic.RUN:
        for ticked in wordings.TICKED.findall(rest) or [rest]:
            _take_command(told, ticked.strip(), number, tree, sure=True)
    if here is Topic.METRIC or re.search(
        r"metric|score|better|best|primary|minimi|maximi|grep|prints?\b|lowest|highest", line, re.I
    ):
        _take_metric(told, line, number)
        _take_direction(told, line, number)
    if topic is Topic.METRIC and not told.metrics and (first := wordings.NAMED_FIRST.match(line)):
        told.metrics.append(Said(first["name"], number))


def _take_sentence(told: Told, line: str, number: int, tree: Tree) -> None:
    for sentence in re.split(r"(?<=[.;!?])\s+|(?<=\.)$|;\s", line):
        negated = wordings.NOT.search(sentence)
        before, after = sentence, ""
        if negated and (but := wordings.BUT.search(sentence, negated.start())):
            before, after = sentence[: but.start()], sentence[but.start() :]
        if negated:
            told.editable += (
                Said(p, number)
                for p in _paths(before[: negated.start()], tree)
                if wordings.EDIT.search(before[: negated.start()])
            )
            subject = before[: negated.start()]
            if wordings.SHUT.match(before, negated.start()) and not wordings.BUT.search(subject):
                told.forbidden += (Said(path, number) for path in _paths(subject, tree))
            told.forbidden += (Said(path, number) for path in _paths(before[negated.start() :], tree))
            told.editable += (Said(path, number) for path in _paths(after, tree))
        elif wordings.EDIT.search(sentence):
            told.editable += (Said(path, number) for path in _paths(sentence, tree))
        if wordings.RUN.search(sentence) and not negated:
            for ticked in wordings.TICKED.findall(sentence):
                _take_command(told, ticked, number, tree, sure=True)


def _take_command(told: Told, words: str, number: int, tree: Tree, *, sure: bool) -> None:
    command = words.removeprefix("$ ").strip()
    command = command.partition(" #")[0].strip()
    while command != (shorter := wordings.REDIRECT.sub("", command)):
        command = shorter
    if not command or wordings.NO_MEASURE.match(command) or not wordings.RUNNER.match(command) or not sure:
        return
    named = [word.removeprefix("./") for word in re.findall(r"[\w./-]+", command)]
    scripts = [word for word in named if re.search(r"\.(?:py|sh|js|mjs|ts|rb|jl|R)$", word)]
    if any(script not in tree for script in scripts):
        return
    told.commands.append(Said(command, number))


def _take_metric(told: Told, line: str, number: int) -> None:
    for pattern in wordings.METRICS:
        if match := pattern.search(line):
            secondary = wordings.SECONDARY.search(line[: match.start("name")])
            (told.secondary if secondary else told.metrics).append(Said(match["name"], number))
            return


def _take_direction(told: Told, line: str, number: int) -> None:
    if wordings.SECONDARY.search(line.partition(":")[0]) and not re.search(r"primary", line, re.I):
        return
    ways = [
        way
        for way, pattern in ((Direction.LOWER, wordings.LOWER), (Direction.HIGHER, wordings.HIGHER))
        if pattern.search(line)
    ]
    if len(ways) == 1:
        told.directions.append(Said(ways[0].value, number))


def _topic_of(title: str) -> Topic:
    return next(
        (topic for topic, words in wordings.TOPICS if re.search(words, title.strip(), re.I)), Topic.OTHER
    )


def _runs_before(lines: list[str], number: int) -> bool:
    """Whether the text above a fenced block speaks of running something."""
    above = [line for line in lines[max(number - 8, 0) : number - 1] if line.strip() and "```" not in line]
    return any(wordings.RUN.search(line) for line in above[-3:])


def _paths(text: str, tree: Tree) -> Iterator[str]:
    """The tracked files, folders and globs that a text names, as they are written."""
    ticked = [word.strip() for words in wordings.TICKED.findall(text) for word in re.split(r"[,\s]+", words)]
    bare = [match[0] for match in wordings.WORD.finditer(wordings.TICKED.sub(" ", text))]
    for word in (*ticked, *bare):
        path = word.removeprefix("./").rstrip(":,;.") if not word.endswith("*") else word.removeprefix("./")
        if (
            path in tree
            or ("*" in path and _glob_matches(tree, path))
            or (path.rstrip("/") and tree.below(path))
        ):
            yield path


def _first_paths(text: str, tree: Tree) -> list[str]:
    """Of a bullet, a table's row or a list: the files it is about, not those that its remark mentions."""
    about = re.split(r"\s+[-–—:]\s+|:\s|\s\(", text.strip().strip("|").lstrip("-*+ "), maxsplit=1)[0]
    about = about.split("|")[0]
    return list(_paths(about, tree)) or list(_paths(text, tree))


def _glob_matches(tree: Tree, glob: str) -> bool:
    return bool(tree.below(glob.split("*")[0].rstrip("/")) if "**" in glob else tree.matching(glob))
