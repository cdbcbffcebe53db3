"""Our own layout: program.md, the referee, training/train.py."""

from __future__ import annotations

from supervisor.lab.config import default_config
from supervisor.recognition.finding import Fact, Finding, Kind
from supervisor.recognition.tree import Tree

FILES = ("program.md", "prepare.py", "training/train.py")


def recognise(tree: Tree) -> Finding | None:
    """A lab with our referee; its defaults are the lab's own."""
    if not all(path in tree for path in FILES):
        return None
    ours = default_config()
    finding = Finding(Kind.OURS, 1.0, clock=None)
    finding = finding.with_fact(Fact.EDITABLE, ours.lab.editable, FILES[2], "the canvas of our layout")
    finding = finding.with_fact(Fact.COMMAND, ours.lab.command, FILES[2], "run as a script, in the bench")
    finding = finding.with_fact(Fact.SETUP, ours.lab.setup, FILES[1], "it prepares the data")
    finding = finding.with_fact(Fact.PROTECTED, FILES[1:2], FILES[1], "data, clock and evaluation")
    finding = finding.with_fact(Fact.METRIC, ours.metric.name, FILES[1], "the referee reports it")
    return finding.with_fact(
        Fact.DIRECTION, ours.metric.direction, FILES[1], "fewer bits per byte are better"
    )
