"""Lone scripts: a tutorial's, which prints `METRIC:mse=…` or `EVAL_RESULT: mse=…`, and one at a usual place."""

from __future__ import annotations

from sessions.runs.metric_formats import MetricFormat
from supervisor.recognition.finding import Fact, Finding, Kind
from supervisor.recognition.gates import add_gates
from supervisor.recognition.pairs import add_tests, complete_pair, solutions_of
from supervisor.recognition.printed import DOCUMENTS, PrintedName, add_metric, printed_names
from supervisor.recognition.surroundings import (
    add_budget,
    add_own_pace,
    add_python_command,
    add_surroundings,
    add_timeout,
)
from supervisor.recognition.tree import Tree

PLACES = ("training/train.py", "train.py", "src/train.py", "scripts/train.py", "main.py", "src/main.py")
_TAGGED = (MetricFormat.METRIC, MetricFormat.EVAL_RESULT)
_MOST_SCRIPTS = 60  # deeper in a large repository such a line is something else's
_DEEPEST = 2


def recognise_tutorial(tree: Tree) -> Finding | None:
    """The one script that prints a tagged metric; what it imports may change, else the script itself."""
    tagged = _tagged(tree)
    script = tagged.where.rpartition(":")[0] if tagged else ""
    if not script:
        return None
    finding = Finding(Kind.TUTORIAL, 0.85)
    solutions = solutions_of(tree, script)
    if solutions and not script.endswith("train.py"):
        return complete_pair(finding, tree, script, solutions)
    finding = finding.with_fact(Fact.EDITABLE, (script,), script, "it trains and prints")
    finding = add_gates(
        add_metric(add_python_command(finding, tree, script), tree, (script,)), tree, (script,)
    )
    finding = add_own_pace(add_surroundings(add_budget(finding, tree, (script,)), tree, (script,)))
    return finding.with_caution(f"{script} may change and prints the score itself: nothing else checks it")


def _tagged(tree: Tree) -> PrintedName | None:
    scripts = [path for path in tree.files if path.endswith(".py") and path.count("/") < _DEEPEST]
    names = printed_names(tree, [path for path in scripts if "test" not in path][:_MOST_SCRIPTS])
    return next((entry for entry in names if entry.dialect in _TAGGED), None)


def recognise_script(tree: Tree) -> Finding | None:
    """The script at a usual place, with whatever it prints as its metric."""
    script = tree.first(PLACES)
    if script is None:
        return None
    finding = Finding(Kind.SCRIPT, 0.4)
    finding = finding.with_fact(Fact.EDITABLE, (script,), script, "a training script at a usual place")
    finding = add_gates(
        add_metric(add_python_command(finding, tree, script), tree, (script,)), tree, (script,)
    )
    finding = add_timeout(add_budget(finding, tree, (script,)), tree, DOCUMENTS[:1])
    finding = add_own_pace(add_tests(add_surroundings(finding, tree, (script,)), tree))
    return finding.with_caution(f"{script} may change and prints the score itself: nothing else checks it")
