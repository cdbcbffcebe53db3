"""`init` in a project that nothing is known of: eight questions, three runs, a configuration and a first program."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import click

from sessions.runs.metric_formats import FALLBACK_KEY
from supervisor.errors import LabError
from supervisor.init.answers import Answers, take_direction, take_metric
from supervisor.init.learning import learn_gates, learn_metric
from supervisor.init.needs import with_needs
from supervisor.init.program_md import program_text
from supervisor.init.questions import WIZARD, first_guess
from supervisor.init.survey import Survey
from supervisor.init.trial_run import Measured, Spread, spread_of
from supervisor.model.directions import direction_of
from supervisor.recognition.finding import Finding
from supervisor.recognition.printed import choose_printed
from supervisor.recognition.tree import Tree
from tui.views.printing import say
from tui.wizard.finding import say_new_facts
from tui.wizard.prompts import HOW, ask_all, choose_line
from tui.wizard.trial import measure, say_spread, why_no_number

_BARE_NAME = "score"  # of a number that stands alone
_AGAIN, _CHANGE, _QUIT = "again", "change", "quit"


def ask_lab(survey: Survey, first_finding: Finding | None) -> tuple[Finding, str]:
    """A whole finding and the text of a first program.md. Raises click.Abort when the person leaves."""
    say("Nothing here is known as a lab. Eight questions make it one; nothing is written before the last.")
    say(HOW, style="dim")
    answers = Answers(first_finding or first_guess(survey.tree))
    while True:
        answers = ask_all(WIZARD, answers, survey.tree)
        answers = replace(answers, finding=with_needs(survey, answers.finding))
        answers, spread = _try(survey, answers)
        if spread is not None:
            return answers.finding, program_text(answers, spread)


def _try(survey: Survey, answers: Answers) -> tuple[Answers, Spread | None]:
    """Measure until there is a number, or the person wants to change an answer (then there is no spread)."""
    say("Now it is measured as it stands, in a copy of what is committed; Ctrl-C ends it.")
    while True:
        try:
            finding, runs = measure(survey.root, survey.base, answers.finding, partial(_learn, survey.tree))
            spread = spread_of(runs, finding.metric, finding.pattern) if finding.metric else None
            problem = why_no_number(runs[-1])
        except LabError as error:
            spread, problem = None, str(error)
        if spread is not None:
            learned = learn_gates(finding, runs[-1])
            say_new_facts(finding, learned)
            return _show_spread(replace(answers, finding=learned), spread, survey)
        say(problem, style="yellow")
        match choose_line("What now?", (_AGAIN, _CHANGE, _QUIT), _CHANGE):
            case "change":
                return answers, None
            case "quit":
                raise click.Abort


def _learn(tree: Tree, finding: Finding, run: Measured) -> Finding:
    """The finding with the metric that the run printed: the only one, or the one that the person picks."""
    if finding.metric or not run.exited_well or not run.printed:
        return learn_metric(finding, run, tree)
    return learn_metric(take_metric(Answers(finding), _pick(run), tree).finding, run, tree)


def _pick(run: Measured) -> str:
    names = list(dict.fromkeys(entry.name for entry in run.printed if entry.name))
    if len(names) < 2:
        return names[0] if names else _BARE_NAME
    for entry in run.printed:
        say(f"  {entry.name}: {entry.value:.6g}")
    return choose_line("Which of these is the metric?", names, _likeliest(run))


def _likeliest(run: Measured) -> str:
    chosen = choose_printed(run.output)
    return chosen[0].name if chosen else run.printed[0].name


def _show_spread(answers: Answers, spread: Spread, survey: Survey) -> tuple[Answers, Spread]:
    finding = answers.finding
    say_spread(spread, finding.metric)
    direction = direction_of(finding.metric)
    # A bare number is called a score, whatever it is.
    doubtful = finding.metric != FALLBACK_KEY and direction.direction is not finding.direction
    if direction.sure and doubtful:
        say(f"you said {finding.direction} is better, but {direction.why}", style="yellow")
        way = choose_line("Better is", ("lower", "higher"), str(finding.direction))
        answers = take_direction(answers, way, survey.tree)
    return answers, spread
