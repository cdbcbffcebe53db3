"""`doctor`: what is here, what is missing, and the line that mends it."""

from __future__ import annotations

import click

from supervisor.errors import LabError
from tui.commands.command_line import Command
from tui.commands.options import chosen_lab, json_option, lab_flags
from tui.doctor.check import Check, Health
from tui.doctor.lab_checks import examine
from tui.views.printing import print_json, say

MARKS = {Health.GOOD: ("✓", "green"), Health.WARNING: ("!", "yellow"), Health.BAD: ("✗", "red")}


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui doctor",
        "autoresearch-tui doctor --json | jq '.checks[] | select(.health != \"good\")'",
    ),
)
@json_option
@lab_flags
def doctor(lab_dir: str | None, state_dir: str | None, as_json: bool) -> None:
    """What is here, what is missing, and the line that mends it. Changes nothing.

    Exit code 1 when something that a lab needs is missing.
    """
    lab, problem = None, ""
    try:
        lab = chosen_lab(lab_dir, state_dir)
    except LabError as error:
        problem = str(error)
    checks = []
    for check in examine(lab, problem):
        checks.append(check)
        if not as_json:
            _print(check)
    bad = sum(check.health is Health.BAD for check in checks)
    if as_json:
        print_json({"healthy": not bad, "checks": [check.record() for check in checks]})
    elif bad:
        say(f"{bad} missing")
    if bad:
        raise click.exceptions.Exit(1)


def _print(check: Check) -> None:
    mark, style = MARKS[check.health]
    say(f"{mark} {check.name:<11}{check.found}", style=style if check.health is not Health.GOOD else "")
    if check.mend:
        say(f"{'':<13}→ {check.mend}")
