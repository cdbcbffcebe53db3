"""`branches`: each agent's branch and its chain of keeps."""

from __future__ import annotations

import click

from supervisor.analysis.lineage import Branch, branches_of
from supervisor.client.lab_client import LabClient
from tui.commands.command_line import Command
from tui.commands.options import json_option, lab_options
from tui.views.as_json import branches_view
from tui.views.figures import change, metric
from tui.views.printing import Column, print_json, print_table

COLUMNS = (
    Column("branch"),
    Column("agent", spare=3),
    Column("metric", right=True, style="bold"),
    Column("Δ base", right=True),
    Column("keeps", right=True, spare=1),
    Column("head", style="cyan", spare=2),
    Column("lineage", wide=True),
)


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui branches",
        "autoresearch-tui branches --json | jq -r '.branches[] | [.branch, .head_commit] | @tsv'",
    ),
)
@json_option
@lab_options
def branches(client: LabClient, as_json: bool) -> None:
    """Each junior's branch: a clean chain of keeps, one commit each, from the run's base."""
    snapshot = client.snapshot()
    all_branches = branches_of(snapshot)
    if as_json:
        print_json(branches_view(all_branches))
        return
    print_table(
        COLUMNS,
        (_row(one) for one in all_branches),
        "No branches yet: each junior gets one when the lab launches.",
    )


def _row(one: Branch) -> tuple[str, ...]:
    head = one.lineage[-1] if one.lineage else None
    return (
        one.name,
        one.agent + (" ★" if one.is_champion else ""),
        metric(head.metric if head else None),
        change(one.gain_over_base),
        str(one.keeps),
        ((head.commit if head else None) or "")[:7],
        " → ".join(experiment.id for experiment in one.lineage),
    )
