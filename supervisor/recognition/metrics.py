"""From what a lab's files print to its metric and direction, with the evidence for both."""

from __future__ import annotations

from collections.abc import Iterable

from supervisor.model.states import Direction
from supervisor.recognition.directions import direction_of
from supervisor.recognition.finding import Fact, Finding
from supervisor.recognition.printed import choose, printed_names
from supervisor.recognition.surroundings import told_direction
from supervisor.recognition.tree import Tree

DOCUMENTS = ("program.md", "README.md", "research.md")


def add_metric(finding: Finding, tree: Tree, paths: Iterable[str]) -> Finding:
    """The metric that these files print, if they do, and its direction."""
    names = printed_names(tree, paths)
    chosen = choose(names)
    if chosen is None:
        return finding
    entry, sure = chosen
    finding = finding.with_fact(Fact.METRIC, entry.name, entry.where, f"prints {entry.shown}", guess=not sure)
    return add_direction(finding, tree)


def add_direction(finding: Finding, tree: Tree, documents: Iterable[str] = DOCUMENTS) -> Finding:
    """The direction by what a document says of the metric, else by its name; a guess when neither tells."""
    told = told_direction(tree, finding.metric, documents)
    if told is not None:
        word, where = told
        return finding.with_fact(Fact.DIRECTION, Direction(word), where, "said there")
    named = direction_of(finding.metric)
    return finding.with_fact(Fact.DIRECTION, named.direction, "", named.why, guess=not named.sure)
