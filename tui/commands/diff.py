"""`diff`: what an experiment changed."""

from __future__ import annotations

import click

from supervisor.lab.paths import Lab
from tui.commands.command_line import Command
from tui.commands.options import json_option, lab_options
from tui.lab_access import lab as lab_calls
from tui.views.as_json import SCHEMA
from tui.views.printing import print_json, say_diff


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui diff e0012",
        "autoresearch-tui diff e0012 | git apply     take the change into your own checkout",
    ),
)
@click.argument("experiment_id", metavar="ID")
@json_option
@lab_options
def diff(lab: Lab, experiment_id: str, as_json: bool) -> None:
    """What an experiment changed, as a unified diff against its parent."""
    experiment = lab_calls.experiment_named(lab_calls.launched(lab), experiment_id)
    text = lab_calls.read_diff(lab, experiment)
    if as_json:
        commits = {"parent_commit": experiment.parent_commit, "commit": experiment.commit}
        print_json({"schema": SCHEMA, "id": experiment.id, **commits, "diff": text})
    else:
        say_diff(text)
