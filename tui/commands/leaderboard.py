"""`leaderboard`: what was measured, best first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import click

from supervisor.analysis.leaderboard import Row
from supervisor.analysis.leaderboard import leaderboard as ranked
from supervisor.model.metrics import Secondary
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import Direction
from tui.commands.command_line import Command
from tui.commands.history import show_history
from tui.commands.holdout import print_holdout, refuse_agents
from tui.commands.options import client_of, json_option, lab_flags
from tui.views.as_json import leaderboard_view
from tui.views.figures import change, flagged, gigabytes, margin, metric, trust
from tui.views.printing import Column, in_terminal, print_json, print_table, say
from tui.views.secondary import secondary_of, title_of
from tui.views.text import plain

LEGEND = "●●● 3 runs decided beforehand  ≈ inside the noise  ⚑ flagged, ? not verified"
EMPTY = "Nothing is measured yet: the first rows are the baseline's."


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui leaderboard",
        "autoresearch-tui leaderboard --json | jq '.settings[0].rows[0]'",
        "autoresearch-tui leaderboard --holdout            does the gain hold on text nobody has seen",
        "autoresearch-tui leaderboard --tsv results.tsv --noise 0.0005",
    ),
)
@click.option("-n", "--first", type=click.IntRange(1), metavar="N", help="Only the best N.")
@click.option(
    "--tsv",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Another harness's results.tsv instead, in its order; needs no lab.",
)
@click.option(
    "--noise",
    "noise_sd",
    type=click.FloatRange(0.0, 1e6),
    metavar="SD",
    help="With --tsv: the noise of one run; default: what a seed swap in the file shows.",
)
@click.option(
    "--direction",
    type=click.Choice([way.value for way in Direction]),
    help="With --tsv: which way its metric is better, where neither its name nor its keeps tell.",
)
@click.option("--holdout", is_flag=True, help="Gains on the sealed holdout instead; never for agents.")
@json_option
@lab_flags
def leaderboard(
    lab_dir: str | None,
    state_dir: str | None,
    first: int | None,
    tsv: Path | None,
    noise_sd: float | None,
    direction: str | None,
    holdout: bool,
    as_json: bool,
) -> None:
    """What was measured, best first. Scores of different settings are never ranked together."""
    if noise_sd is not None and (tsv is None or noise_sd != noise_sd):
        raise click.UsageError("--noise takes a number, and goes with --tsv")
    if direction is not None and tsv is None:
        raise click.UsageError("--direction goes with --tsv; a lab's own is in its autoresearch.toml")
    if holdout and (as_json or tsv is not None or first is not None):
        raise click.UsageError("--holdout stands alone: its figures are for people, not for scripts")
    if holdout:
        refuse_agents()
        print_holdout(client_of(lab_dir, state_dir).snapshot())
        return
    if tsv is not None:
        show_history(tsv, noise_sd, Direction(direction) if direction else None, first, as_json)
        return
    snapshot = client_of(lab_dir, state_dir).snapshot()
    if as_json:
        print_json(leaderboard_view(snapshot))
    else:
        print_leaderboard(snapshot, first)


def print_leaderboard(snapshot: LabSnapshot, first: int | None = None) -> None:
    """The leaderboard for people, one table per setting."""
    rows = ranked(snapshot)
    name = snapshot.campaign.metric if snapshot.campaign else "metric"
    name = f"{name} ({snapshot.unit})" if snapshot.unit else name
    beside = secondary_of(snapshot)
    columns = (
        Column("#", right=True),
        Column(name, right=True, style="bold"),
        Column("± 95 %", right=True),
        Column("runs", right=True),
        Column("Δ base", right=True, spare=2),
        Column("Δ parent", right=True),
        Column("conf"),
        Column("verdict", spare=1),
        Column("⚑"),
        Column("agent", spare=5),
        Column("commit", style="cyan", spare=4),
        Column("GB", right=True, spare=6),
        *(Column(title_of(one), right=True, spare=3) for one in beside),
        Column("id"),
        Column("idea", wide=True),
    )
    if not rows:
        print_table(columns, (), EMPTY)
    for setting, group in groupby(rows, key=lambda row: row.setting_id):
        if in_terminal():
            say(_heading(snapshot, setting), style="dim")
        print_table(columns, [_cells(row, beside) for row in list(group)[:first]], EMPTY)
    if in_terminal():
        _tell_imported(snapshot)
    if rows and in_terminal():
        say(LEGEND, style="dim")
        if snapshot.guarantees and snapshot.guarantees.line:
            say(snapshot.guarantees.line, style="dim")


def _tell_imported(snapshot: LabSnapshot) -> None:
    if not snapshot.imported:
        return
    scored = [one.metric for one in snapshot.imported if one.metric is not None]
    span = f", {metric(min(scored))} to {metric(max(scored))}" if scored else ""
    files = ", ".join(sorted({plain(Path(one.source).name) for one in snapshot.imported}))
    say(
        f"imported: {len(snapshot.imported)} experiments of {files}{span}: another setting, not ranked here",
        style="dim",
    )


def _heading(snapshot: LabSnapshot, setting_id: str) -> str:
    campaign = snapshot.campaign
    if campaign is None or campaign.setting.id != setting_id:
        return f"setting {setting_id}, of an earlier run"
    setting = campaign.setting
    noise = f", noise ±{metric(snapshot.noise.sd)} a run" if snapshot.noise else ""
    return (
        f"{campaign.tag}: {setting.metric}, {campaign.direction.value} is better, "
        f"{setting.budget_s:g} s of {setting.clock.value} time on {setting.device_kind}{noise}"
    )


def _cells(row: Row, beside: Sequence[Secondary]) -> tuple[str, ...]:
    experiment = row.experiment
    memory = max(
        (run.peak_memory_mb for run in experiment.runs if run.peak_memory_mb is not None), default=None
    )
    verdict = experiment.verdict.value if experiment.verdict else ""
    return (
        f"{row.rank}{'★' if row.champion else ''}",
        metric(row.metric),
        margin(row.margin),
        str(row.runs),
        change(row.delta_baseline),
        change(row.delta_incumbent) + (" ≈" if row.inside_noise else ""),
        trust(row.dots),
        verdict,
        flagged(row.flags, row.unverified),
        experiment.agent or "–",
        (experiment.commit or "")[:7],
        gigabytes(memory),
        *(metric(experiment.also.get(one.name)) for one in beside),
        experiment.id,
        experiment.title,
    )
