"""A lone training script at one of the usual places."""

from __future__ import annotations

from supervisor.recognition.finding import Fact, Finding, Kind
from supervisor.recognition.metrics import DOCUMENTS, add_metric
from supervisor.recognition.pairs import add_tests
from supervisor.recognition.surroundings import (
    add_budget,
    add_own_pace,
    add_python_command,
    add_surroundings,
    add_timeout,
)
from supervisor.recognition.tree import Tree

PLACES = ("training/train.py", "train.py", "src/train.py", "scripts/train.py", "main.py", "src/main.py")


def recognise(tree: Tree) -> Finding | None:
    """The script, with whatever it prints as its metric."""
    script = tree.first(PLACES)
    if script is None:
        return None
    finding = Finding(Kind.SCRIPT, 0.4)
    finding = finding.with_fact(Fact.EDITABLE, (script,), script, "a training script at a usual place")
    finding = add_metric(add_python_command(finding, tree, script), tree, (script,))
    finding = add_timeout(add_budget(finding, tree, (script,)), tree, DOCUMENTS[:1])
    finding = add_own_pace(add_tests(add_surroundings(finding, tree, (script,)), tree))
    return finding.with_caution(f"{script} may change and prints the score itself: nothing else checks it")
