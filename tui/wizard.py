"""`init` in a project that nothing is known of: eight questions, three runs, a configuration and a first programme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import click

from supervisor.answers import Answers, take_direction, take_metric
from supervisor.errors import LabError
from supervisor.programme import program_text
from supervisor.questions import WIZARD, first_guess
from supervisor.recognition.directions import direction_of
from supervisor.recognition.finding import Finding
from supervisor.recognition.printed import PrintedName, PrintedValue, choose
from supervisor.survey import Survey
from supervisor.trial import Measured, Spread, spread_of
from tui.asking import HOW, ask_all, choose_line
from tui.output import say
from tui.trying import measure, say_spread, why_no_number

_AGAIN, _CHANGE, _QUIT = "again", "change", "quit"


def ask_lab(seen: Survey, begun: Finding | None) -> tuple[Finding, str]:
    """A whole finding and the text of a first program.md. Raises click.Abort when the person leaves."""
    say("Nothing here is known as a lab. Eight questions make it one; nothing is written before the last.")
    say(HOW, style="dim")
    answers = Answers(begun or first_guess(seen.tree))
    while True:
        answers = ask_all(WIZARD, answers, seen.tree)
        answers, spread = _try(seen, answers)
        if spread is not None or answers.finding.metric:
            return answers.finding, program_text(answers, spread)


def _try(seen: Survey, answers: Answers) -> tuple[Answers, Spread | None]:
    """Measure until there is a number, or the person wants to change an answer (no metric, no spread)."""
    say("Now it is measured as it stands, in a copy of what is committed; Ctrl-C ends it.")
    while True:
        runs = _measured(seen, answers.finding)
        named = _named(answers, runs, seen) if runs and runs[0].printed and runs[0].exited_well else None
        spread = spread_of(runs, named.finding.metric) if named else None
        if named and spread:
            return _shown(named, spread, seen)
        say(why_no_number(runs[-1]) if runs else "it was not run", style="yellow")
        match choose_line("What now?", (_AGAIN, _CHANGE, _QUIT), _CHANGE):
            case "change":
                return replace(answers, finding=replace(answers.finding, metric="")), None
            case "quit":
                raise click.Abort


def _measured(seen: Survey, finding: Finding) -> list[Measured]:
    try:
        return measure(seen.root, seen.base, finding)
    except LabError as error:
        say(str(error), style="yellow")
        return []


def _named(answers: Answers, runs: Sequence[Measured], seen: Survey) -> Answers:
    """The answers with the metric's name: as it was said, as the one that was printed, or as the person picks."""
    printed = runs[0].printed
    held = answers.finding.metric
    if held and any(entry.name in (held, "") for entry in printed):
        return answers
    names = [entry.name for entry in printed if entry.name]
    if not names:  # a bare number goes by any name
        return take_metric(answers, held or "score", seen.tree)
    name = names[0]
    if len(set(names)) > 1:
        for entry in printed:
            say(f"  {entry.name}: {entry.value:.6g}")
        name = choose_line("Which of these is the metric?", names, _likeliest(printed))
    return take_metric(answers, name, seen.tree)


def _likeliest(printed: Sequence[PrintedValue]) -> str:
    chosen = choose([PrintedName(entry.name, entry.dialect, "") for entry in printed if entry.name])
    return chosen[0].name if chosen else printed[0].name


def _shown(answers: Answers, spread: Spread, seen: Survey) -> tuple[Answers, Spread]:
    finding = answers.finding
    say_spread(spread, finding.metric)
    told = direction_of(finding.metric)
    if told.sure and told.direction is not finding.direction:
        say(f"you said {finding.direction} is better, but {told.why}", style="yellow")
        way = choose_line("Better is", ("lower", "higher"), str(finding.direction))
        answers = take_direction(answers, way, seen.tree)
    return answers, spread
