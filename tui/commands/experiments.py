"""`experiments`: every one, or all about one."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click

from supervisor.lab import Lab
from supervisor.snapshot import Experiment, LabSnapshot, Run
from supervisor.states import Verdict
from tui import lab_calls
from tui.commands.choosing import json_option, lab_options
from tui.commands.running import Command
from tui.figures import age, change, metric
from tui.json_views import experiment_view, experiments_view
from tui.output import Column, print_json, print_table, say, say_fact

COLUMNS = (
    Column("id"),
    Column("verdict"),
    Column("metric", right=True),
    Column("gain", right=True),
    Column("runs", right=True, spare=3),
    Column("agent", spare=1),
    Column("commit", style="cyan", spare=2),
    Column("age", right=True, spare=4),
    Column("title", wide=True),
)
RUN_COLUMNS = (
    Column("run"),
    Column("kind"),
    Column("state"),
    Column("metric", right=True),
    Column("seed", right=True, spare=4),
    Column("device", spare=2),
    Column("steps", right=True, spare=3),
    Column("took", right=True, spare=1),
    Column("reason", wide=True),
)


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui experiments                     oldest first",
        "autoresearch-tui experiments --verdict keep      only the keeps",
        "autoresearch-tui experiments e0012               all about one",
        "autoresearch-tui experiments --json | jq -r '.experiments[] | [.id, .verdict, .metric] | @tsv'",
    ),
)
@click.argument("experiment_id", metavar="[ID]", required=False)
@click.option("--verdict", type=click.Choice([verdict.value for verdict in Verdict]), help="Only these.")
@click.option("--agent", metavar="NAME", help="Only this agent's.")
@json_option
@lab_options
def experiments(
    lab: Lab, experiment_id: str | None, verdict: str | None, agent: str | None, as_json: bool
) -> None:
    """Every experiment with its verdict, or all about one."""
    snapshot = lab_calls.read_lab(lab)
    if experiment_id is not None:
        experiment = lab_calls.experiment_named(snapshot, experiment_id)
        if as_json:
            print_json(experiment_view(snapshot, experiment))
        else:
            _print_one(snapshot, experiment)
        return
    shown = [
        one for one in snapshot.experiments if verdict in (None, one.verdict) and agent in (None, one.agent)
    ]
    if as_json:
        print_json(experiments_view(snapshot, shown))
        return
    now = time.time()
    print_table(
        COLUMNS, (_row(one, now) for one in shown), "No experiments yet: `autoresearch-tui launch` starts."
    )


def _row(one: Experiment, now: float) -> tuple[str, ...]:
    measured = sum(run.metric is not None for run in one.runs)
    return (
        one.id,
        one.verdict.value if one.verdict else one.state.value,
        metric(one.metric),
        change(one.gain),
        str(measured),
        one.agent or "–",
        (one.commit or "")[:7],
        age(now - (one.decided_at or one.created_at)),
        one.title,
    )


def _print_one(snapshot: LabSnapshot, one: Experiment) -> None:
    for name, value in _facts(snapshot, one):
        if value:
            say_fact(name, value)
    if one.runs:
        say("")
        print_table(RUN_COLUMNS, (_run_row(run) for run in one.runs), "")
    say("")
    say(
        f"`autoresearch-tui diff {one.id}` shows the change, `autoresearch-tui log {one.id}` the output",
        style="dim",
    )


def _facts(snapshot: LabSnapshot, one: Experiment) -> Iterator[tuple[str, str]]:
    verdict = one.verdict.value if one.verdict else one.state.value
    yield one.id, one.title
    yield "verdict", verdict + (f", {one.reason}" if one.reason else "")
    yield "metric", metric(one.metric) if one.metric is not None else ""
    if one.gain is not None:
        spread = f" ({change(one.gain_low)} to {change(one.gain_high)})" if one.gain_low is not None else ""
        sure = f", {_share(one.confidence)} sure that it is one" if one.confidence is not None else ""
        yield "gain", f"{change(one.gain)}{spread}{sure}"
    yield "agent", one.agent
    yield "hypothesis", one.hypothesis_id or ""
    yield "parent", f"{one.parent_id} ({one.parent_commit[:7]})" if one.parent_id else one.parent_commit[:7]
    yield "commit", f"{one.commit} (+{one.lines_added} −{one.lines_removed})" if one.commit else ""
    yield "branch", one.branch
    yield (
        "setting",
        one.setting_id
        + (
            ""
            if snapshot.campaign and snapshot.campaign.setting.id == one.setting_id
            else ", of an earlier run"
        ),
    )
    yield "cost", f"${one.cost_usd:.2f}" if one.cost_usd else ""
    yield "expected", one.expectation
    yield "learned", one.reflection


def _run_row(run: Run) -> tuple[str, ...]:
    return (
        run.id,
        run.kind.value,
        run.ending.value if run.ending else run.state.value,
        metric(run.metric),
        str(run.seed),
        run.device or "",
        str(run.steps or ""),
        f"{run.total_s:.0f}s" if run.total_s is not None else "",
        run.reason,
    )


def _share(confidence: float) -> str:
    return "over 99 %" if confidence > 0.99 else f"{confidence * 100:.0f} %"
