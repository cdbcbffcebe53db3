"""The recognisers in turn: the surest of those that know the repository."""

from __future__ import annotations

from collections.abc import Callable

from supervisor.lab.config import default_config
from supervisor.lab.paths import LAYOUT_FILES, Layout
from supervisor.recognition import auto_folder, benchmarks, compiled, pairs, script, upstream
from supervisor.recognition.finding import Fact, Finding, Kind
from supervisor.recognition.told import with_program
from supervisor.recognition.tree import Tree

SURE = 0.9


def recognise_ours(tree: Tree) -> Finding | None:
    """A lab with our referee; its defaults are the lab's own."""
    if not all(path in tree for path in LAYOUT_FILES[Layout.OURS]):
        return None
    ours = default_config()
    _, referee, canvas = LAYOUT_FILES[Layout.OURS]
    finding = Finding(Kind.OURS, 1.0, clock=None)
    finding = finding.with_fact(Fact.EDITABLE, ours.lab.editable, canvas, "the canvas of our layout")
    finding = finding.with_fact(Fact.COMMAND, ours.lab.command, canvas, "run as a script, in the bench")
    finding = finding.with_fact(Fact.SETUP, ours.lab.setup, referee, "it prepares the data")
    finding = finding.with_fact(Fact.PROTECTED, (referee,), referee, "data, clock and evaluation")
    finding = finding.with_fact(Fact.METRIC, ours.metric.name, referee, "the referee reports it")
    way = ours.metric.direction
    return finding.with_fact(Fact.DIRECTION, way, referee, "fewer bits per byte are better")


RECOGNISERS: tuple[Callable[[Tree], Finding | None], ...] = (
    recognise_ours,
    auto_folder.recognise,
    upstream.recognise,
    script.recognise_tutorial,
    pairs.recognise,
    compiled.recognise,
    benchmarks.recognise_pytest,
    script.recognise_script,
)


def recognise(tree: Tree) -> Finding | None:
    """What the repository is, by the surest recogniser that knows it; None when none does.

    A finding may lack what its files don't tell, see `Finding.missing`.
    """
    seen = (recognises(tree) for recognises in RECOGNISERS)
    findings = [finding for each in seen if each is not None and (finding := with_program(each, tree))]
    findings = [one if one.metric else benchmarks.add_benchmark(one, tree, one.protected) for one in findings]
    # A likely kind that leaves questions open gives way to a less likely one that leaves none; a sure kind does not.
    whole = [finding for finding in findings if not finding.missing or finding.confidence >= SURE]
    best = max(whole or findings, key=lambda finding: finding.confidence, default=None)
    return best or with_program(None, tree)
