"""`init`: make a lab."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from supervisor.lab.presets import PRESETS
from tui.commands.command_line import Command
from tui.commands.options import json_option
from tui.views.printing import in_terminal, print_json, say

if TYPE_CHECKING:
    from supervisor.init.make_lab import InitReport
    from supervisor.init.survey import Survey
    from supervisor.lab.presets import Preset
    from supervisor.recognition.finding import Finding


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui init mylab           a new lab in mylab/, with its first commit",
        "autoresearch-tui init                 here: a new lab, or an autoresearch.toml for the repository around",
        "autoresearch-tui init --yes           the same, without a question",
        "autoresearch-tui init --dry-run       what it finds and where it was seen; nothing is written",
        "autoresearch-tui init --editable src/solver.c --command 'make bench' --metric latency_ms",
    ),
)
@click.argument("directory", metavar="[DIR]", default=".")
@click.option(
    "--preset",
    metavar="NAME",
    help="How a new lab's files are set; by default as fits this machine. "
    + "; ".join(f"{preset.name}: {preset.description}" for preset in PRESETS.values())
    + ".",
)
@click.option(
    "--yes", "-y", is_flag=True, help="Ask nothing: take what is found, and guesses where it is unclear."
)
@click.option(
    "--editable",
    multiple=True,
    callback=lambda _context, _option, values: ", ".join(values) or None,
    metavar="FILES",
    help="What may change; files, folders or globs; may be said more than once.",
)
@click.option("--command", "command_line", metavar="LINE", help="What measures it, and prints the metric.")
@click.option("--metric", metavar="NAME", help="What the printed metric is called.")
@click.option("--direction", metavar="WAY", help="lower or higher: which is better.")
@click.option("--budget", metavar="TIME", help="Training time that the command is to spend: 300, 5m.")
@click.option("--timeout", metavar="TIME", help="The longest that one measurement may take: 90s, 10m.")
@click.option("--network", metavar="REACH", help="What a run may reach: none, loopback or open.")
@click.option("--checks", metavar="LINE", help="A command that must pass before an edit is measured.")
@click.option(
    "--try", "measures", is_flag=True, help="Measure the code three times as it stands, and show its noise."
)
@click.option("--dry-run", is_flag=True, help="Show what is found and write nothing.")
@json_option
def init(
    directory: str,
    preset: str | None,
    yes: bool,
    measures: bool,
    dry_run: bool,
    as_json: bool,
    **values: str | None,
) -> None:
    """Make a lab.

    An empty or plain folder becomes a lab with its first commit. In an existing repository only an
    autoresearch.toml is written for what is found there, and nothing is committed. What its files don't
    tell is asked in a terminal; a project of which nothing is known is asked eight questions and measured.
    """
    from supervisor.errors import LabError
    from supervisor.init.make_lab import expect_whole, init_folder, preset_named, repository_for, write_lab
    from supervisor.init.needs import with_needs
    from supervisor.init.survey import survey

    if as_json and measures:
        raise click.UsageError("--try shows its runs to a person; leave --json away")
    folder = Path(directory).expanduser().resolve()
    new_preset = preset_named(preset)
    repository = repository_for(folder)
    if repository is not None and preset:
        raise LabError(
            f"{repository.root} is a repository with code of its own; --preset sets a new lab's files"
        )
    if repository is None:
        if any(values.values()) or measures or dry_run:
            raise LabError(f"{folder} is no repository; flags about what is found there need one")
        _say_new(init_folder(folder, new_preset), new_preset, as_json)
        return
    project = survey(repository, folder)
    found = _with_flags(project, values)
    found = found and with_needs(project, found)
    asks = not yes and not as_json and not dry_run and in_terminal() and sys.stdin.isatty()
    tried = _tried(project, found) if measures else None
    finding, program = _complete_finding(project, tried or found, asks, dry_run, as_json)
    if measures and tried is None and finding is not None and not finding.missing:
        finding = _try(project, finding)
    report = None if dry_run else write_lab(project.root, expect_whole(project.root, finding), program)
    _say_found(project, finding, report, as_json)


def _with_flags(survey: Survey, values: dict[str, str | None]) -> Finding | None:
    """What was found, with what the person said ahead. Raises LabError for an answer that can't be taken."""
    from supervisor.errors import LabError
    from supervisor.init import answers as init_answers
    from supervisor.model.states import Clock
    from supervisor.recognition.finding import Finding, Kind

    flags = {
        "editable": init_answers.take_editable,
        "command_line": init_answers.take_command,
        "metric": init_answers.take_metric,
        "direction": init_answers.take_direction,
        "budget": init_answers.take_budget,
        "timeout": init_answers.take_timeout,
        "network": init_answers.take_network,
        "checks": init_answers.take_checks_command,
    }
    words = {name: value for name, value in values.items() if value is not None}
    if not words:
        return survey.finding
    answers = init_answers.Answers(survey.finding or Finding(Kind.ASKED, 1.0, clock=Clock.WALL))
    for name, take in flags.items():
        if name in words:
            try:
                answers = take(answers, words[name], survey.tree)
            except init_answers.BadAnswer as problem:
                raise LabError(f"--{name.removesuffix('_line')}: {problem}") from None
    return answers.finding


def _complete_finding(
    survey: Survey, finding: Finding | None, asks: bool, dry_run: bool, as_json: bool
) -> tuple[Finding | None, str]:
    """The finding with its gaps filled, and the text of a first program.md where the person was asked it all."""
    from supervisor.init.make_lab import expect_whole
    from tui.wizard.finding import say_cautions, say_finding, say_guesses

    if finding is None and asks:
        from tui.wizard.wizard import ask_lab

        say_cautions(survey.notes)
        return ask_lab(survey, None)
    if not dry_run and not asks:
        finding = expect_whole(survey.root, finding)
    if finding is None or as_json:
        return finding, ""
    say_finding(survey, finding)
    if asks:
        return _fill_gaps(survey, finding), ""
    say_guesses(finding)
    return finding, ""


def _fill_gaps(survey: Survey, finding: Finding) -> Finding:
    from supervisor.init.answers import Answers
    from supervisor.init.needs import with_needs
    from supervisor.init.questions import gaps_of
    from tui.wizard.prompts import HOW, ask_all

    # A name tells its direction, so a gap may close while another is filled.
    while gaps := gaps_of(finding):
        say(HOW, style="dim")
        finding = ask_all(gaps[:1], Answers(finding), survey.tree).finding
    return replace(with_needs(survey, finding), guesses=frozenset())


def _tried(survey: Survey, finding: Finding | None) -> Finding | None:
    """The finding with what runs of it taught; None where nothing says yet what to run."""
    from supervisor.init.needs import with_needs
    from supervisor.init.questions import first_guess
    from supervisor.recognition.finding import Fact

    finding = finding or with_needs(survey, first_guess(survey.tree))
    return None if {Fact.EDITABLE, Fact.COMMAND} & set(finding.missing) else _try(survey, finding)


def _try(survey: Survey, finding: Finding) -> Finding:
    """The finding with what three runs of the unchanged code taught of it."""
    from sessions.runs.contract import RunEnding
    from supervisor.errors import LabError
    from supervisor.init.learning import learn_gates, learn_metric
    from supervisor.init.trial_run import spread_of
    from tui.wizard.finding import say_new_facts
    from tui.wizard.trial import measure, say_spread, why_no_number

    known = finding
    finding, runs = measure(
        survey.root, survey.base, finding, lambda found, run: learn_metric(found, run, survey.tree)
    )
    spread = spread_of(runs, finding.metric, finding.pattern) if finding.metric else None
    if spread is None and runs[-1].outcome.ending is RunEnding.REJECTED:
        raise LabError(f"the code as it stands is refused: {runs[-1].outcome.reason}")
    if spread is None:
        raise LabError(
            f"the command gave no {finding.metric or 'number under a name'}: {why_no_number(runs[-1])}"
        )
    say_spread(spread, finding.metric)
    learned = learn_gates(finding, runs[-1])
    say_new_facts(known, learned)
    return learned


def _say_found(survey: Survey, finding: Finding | None, report: InitReport | None, as_json: bool) -> None:
    from tui.wizard.finding import finding_json

    if as_json:
        print_json(finding_json(survey, finding, report))
    elif report is not None:
        say(
            f"wrote {' and '.join(str(report.root / name) for name in report.created)}; nothing was committed"
        )
        say("next: read it, then `autoresearch-tui launch`")
    elif finding is None:
        say(f"nothing in {survey.root} is known as a lab; in a terminal `autoresearch-tui init` asks")
    else:
        say("nothing was written")


def _say_new(report: InitReport, preset: Preset, as_json: bool) -> None:
    if as_json:
        made = {"root": str(report.root), "written": list(report.created), "commit": report.commit}
        made["preset"] = preset.name
        print_json(made)
        return
    say(f"a lab in {report.root}: {', '.join(report.created)} (commit {(report.commit or '')[:7]})")
    say(f"preset {preset.name}: {preset.description}; `--preset NAME` sets another")
    say("next: say what you want researched in program.md, then `autoresearch-tui launch`")
