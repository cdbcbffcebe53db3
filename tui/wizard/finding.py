"""What `init` found, for people and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from supervisor.init.answers import in_words
from supervisor.init.make_lab import InitReport
from supervisor.init.survey import Survey
from supervisor.model.states import Direction
from supervisor.recognition.finding import Fact, Finding, Kind
from tui.views.printing import Column, print_table, say

_TITLES = {
    Kind.OURS: "a lab of our own layout",
    Kind.UPSTREAM: "a clone of karpathy/autoresearch",
    Kind.MACOS: "a clone of autoresearch-macos, karpathy/autoresearch on Metal",
    Kind.MLX: "a clone of autoresearch-mlx, karpathy/autoresearch on MLX",
    Kind.WIN_RTX: "a clone of autoresearch-win-rtx, karpathy/autoresearch on consumer cards",
    Kind.AUTO: "a pi-autoresearch session",
    Kind.TUTORIAL: "a script that prints its metric",
    Kind.PAIR: "a solution and its evaluator",
    Kind.COMPILED: "a project that is built, then measured",
    Kind.BENCHMARKED: "a project with benchmarks of its own",
    Kind.SCRIPT: "a training script",
    Kind.TOLD: "a project that its program.md describes",
    Kind.ASKED: "a project of your own",
}
_COLUMNS = (
    Column("what"),
    Column("value", wide=True),
    Column("seen", spare=1),
    Column("why", wide=True, spare=2),
)
_DURATIONS = (Fact.BUDGET_S, Fact.TIMEOUT_S)


def say_finding(survey: Survey, finding: Finding) -> None:
    """A table: what, its value, where it was seen and why; then what a person should know."""
    say(f"{survey.root} is {_TITLES[finding.kind]}")
    facts = [fact for fact in Fact if finding.value(fact) and finding.evidence_for(fact)]
    print_table(_COLUMNS, [_row(finding, fact) for fact in facts], "nothing was found")
    say_cautions((*survey.notes, *finding.cautions))


def say_new_facts(before: Finding, now: Finding) -> None:
    """What a trial run taught, and what it warns of."""
    for fact in Fact:
        if now.value(fact) != before.value(fact):
            say(f"{fact.value}: {value_for_person(now, fact)}; {_why(now, fact)}")
    say_cautions(now.cautions[len(before.cautions) :])


def say_cautions(cautions: Sequence[str]) -> None:
    """One line each."""
    for caution in cautions:
        say(f"note: {caution}", style="yellow")


def say_guesses(finding: Finding) -> None:
    """What was taken without being sure, aloud: nobody was asked."""
    for fact in Fact:
        if fact in finding.guesses:
            say(
                f"note: {fact.value}: {value_for_person(finding, fact)} is a guess; {_why(finding, fact)}",
                style="yellow",
            )


def value_for_person(finding: Finding, fact: Fact) -> str:
    """A fact's value, for people."""
    value = finding.value(fact)
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if fact in _DURATIONS and value:
        return in_words(value)
    if fact is Fact.DIRECTION and value:
        return "lower" if value is Direction.LOWER else "higher"
    return f"{value:g}" if isinstance(value, float) else str(value)


def finding_json(survey: Survey, finding: Finding | None, report: InitReport | None) -> dict[str, Any]:
    """What was found and what was written, for scripts; an unknown value is null."""
    facts = {} if finding is None else {_script_name(fact): finding.value(fact) or None for fact in Fact}
    return {
        "root": str(survey.root),
        "kind": None if finding is None else finding.kind,
        "confidence": None if finding is None else finding.confidence,
        "found": facts,
        "missing": [] if finding is None else [_script_name(fact) for fact in finding.missing],
        "guesses": [] if finding is None else [_script_name(f) for f in Fact if f in finding.guesses],
        "evidence": [
            {"fact": _script_name(entry.fact), "where": entry.where or None, "why": entry.why}
            for entry in (finding.evidence if finding else ())
        ],
        "notes": [*survey.notes, *(finding.cautions if finding else ())],
        "written": [] if report is None else list(report.created),
    }


def _row(finding: Finding, fact: Fact) -> tuple[str, str, str, str]:
    evidence = finding.evidence_for(fact)
    where, why = (evidence.where, evidence.why) if evidence else ("", "")
    doubt = " (a guess)" if fact in finding.guesses else ""
    return fact.value, value_for_person(finding, fact), where, why + doubt


def _why(finding: Finding, fact: Fact) -> str:
    evidence = finding.evidence_for(fact)
    return f"{evidence.where}: {evidence.why}".removeprefix(": ") if evidence else "nothing tells"


def _script_name(fact: Fact) -> str:
    return fact.name.lower()
