"""What a trial run of the unchanged code teaches: the metric, its direction, the pattern that reads it, gates."""

from __future__ import annotations

from sessions.runs.benchmark_tools import COUNT, GEOMEAN
from sessions.runs.metric_formats import BENCHMARKS
from sessions.runs.near_misses import near_miss, numbers_by_name
from supervisor.init.trial_run import Measured
from supervisor.model.directions import direction_of
from supervisor.model.states import Direction
from supervisor.recognition.finding import Fact, Finding, FoundGate
from supervisor.recognition.gates import add_printed_gates
from supervisor.recognition.printed import BYSTANDERS, add_direction, choose_printed
from supervisor.recognition.tree import Tree

_TRIAL = "printed by the trial run"


def learn_metric(finding: Finding, run: Measured, tree: Tree) -> Finding:
    """The finding with the metric that the run printed: by its name where there is one, else the likeliest."""
    if not run.exited_well:
        return finding
    if finding.metric:
        return _add_pattern(finding, run) if run.value_of(finding.metric) is None else _add_unit(finding, run)
    if chosen := choose_printed(run.output):
        entry, sure = chosen
        finding = finding.with_fact(Fact.METRIC, entry.name, "", _TRIAL, guess=not sure)
        return _add_unit(add_direction(finding, tree), run)
    named = [m for m in numbers_by_name(run.output.lines) if m.name.lower() not in BYSTANDERS]
    telling = [miss for miss in named if direction_of(miss.name).sure]
    if not telling:
        return finding
    # The last line that tells; in it the headline comes first.
    miss = next(one for one in telling if one.line == telling[-1].line)
    name = "_".join(miss.name.lower().replace("-", " ").split())
    finding = finding.with_fact(Fact.METRIC, name, "", f"“{miss.line}”", guess=len(named) > 1)
    finding = finding.with_fact(Fact.PATTERN, miss.pattern, "", f"“{miss.line}”")
    return add_direction(finding, tree)


def learn_gates(finding: Finding, run: Measured) -> Finding:
    """The finding with the fields by which the run said that its results are right."""
    finding = add_printed_gates(finding, run.tail)
    if finding.metric != GEOMEAN:
        return finding
    # A benchmark that goes missing would leave the mean of the others.
    count = FoundGate(COUNT, f"{len(run.output.benchmarks)}")
    return finding.with_fact(Fact.GATES, (*finding.gates, count), "", _TRIAL)


def _add_pattern(finding: Finding, run: Measured) -> Finding:
    miss = near_miss(run.output.lines, finding.metric)
    return finding.with_fact(Fact.PATTERN, miss.pattern, "", f"“{miss.line}”") if miss else finding


def _add_unit(finding: Finding, run: Measured) -> Finding:
    """A benchmark's figure is a time, whatever its name says."""
    by_tool = any(one.name == finding.metric and one.dialect in BENCHMARKS for one in run.output.values)
    evidence = finding.evidence_for(Fact.DIRECTION)
    if not by_tool or (evidence and evidence.where == "you"):
        return finding
    return finding.with_fact(Fact.DIRECTION, Direction.LOWER, "", "it is the time of one operation")
