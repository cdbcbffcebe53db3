"""`experiments`: every one, or all about one; `diff`: what one changed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from supervisor.analysis.verdict_basis import held_s, part_of
from supervisor.client.lab_client import LabClient
from supervisor.client.readings import experiment_named
from supervisor.model.experiment import Experiment, Run
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import Verdict
from tui.commands.command_line import Command
from tui.commands.options import json_option, lab_options
from tui.views.as_json import experiment_view, experiments_view
from tui.views.experiment import experiment_facts, more_commands
from tui.views.figures import age, change, dollars, metric, thousands
from tui.views.printing import Column, print_json, print_table, say, say_diff, say_fact

if TYPE_CHECKING:
    from supervisor.model.records import ThinkingStep

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
    Column("part"),
    Column("ending"),
    Column("metric", right=True),
    Column("seed", right=True, spare=2),
    Column("device", spare=3),
    Column("steps", right=True, spare=6),
    Column("training", right=True, spare=5),
    Column("took", right=True, spare=1),
    Column("cpu/wall", right=True, spare=4),
    Column("attempt", right=True, spare=7),
    Column("reason", wide=True),
)
STEP_COLUMNS = (
    Column("step"),
    Column("ending"),
    Column("cost", right=True),
    Column("in", right=True, spare=1),
    Column("out", right=True, spare=1),
    Column("cached", right=True, spare=2),
    Column("took", right=True, spare=3),
    Column("model", spare=4),
    Column("detail", wide=True),
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
    client: LabClient, experiment_id: str | None, verdict: str | None, agent: str | None, as_json: bool
) -> None:
    """Every experiment with its verdict, or all about one."""
    snapshot = client.snapshot()
    if experiment_id is not None:
        experiment = experiment_named(snapshot, experiment_id)
        steps = client.steps_of(experiment.id)
        if as_json:
            print_json(experiment_view(snapshot, experiment, steps))
        else:
            _print_one(snapshot, experiment, steps)
        return
    selection = [
        one for one in snapshot.experiments if verdict in (None, one.verdict) and agent in (None, one.agent)
    ]
    if as_json:
        print_json(experiments_view(snapshot, selection))
        return
    now = time.time()
    print_table(
        COLUMNS,
        (_row(one, now) for one in selection),
        "No experiments yet: `autoresearch-tui launch` starts.",
    )


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
def diff(client: LabClient, experiment_id: str, as_json: bool) -> None:
    """What an experiment changed, as a unified diff against its parent."""
    experiment = experiment_named(client.launched(), experiment_id)
    text = client.diff(experiment.id)
    if as_json:
        commits = {"parent_commit": experiment.parent_commit, "commit": experiment.commit}
        print_json({"id": experiment.id, **commits, "diff": text})
    else:
        say_diff(text)


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


def _print_one(snapshot: LabSnapshot, one: Experiment, steps: Sequence[ThinkingStep]) -> None:
    say_fact(one.id, one.title)
    for name, value in (*experiment_facts(snapshot, one), *_origin(snapshot, one)):
        say_fact(name, value)
    if one.runs:
        say("")
        print_table(RUN_COLUMNS, (_run_row(one, run) for run in one.runs), "")
    if any(step.model for step in steps):  # a search thinks for nothing
        say("")
        print_table(STEP_COLUMNS, (_step_row(step) for step in steps), "")
    say("")
    for command in more_commands(one):
        say(command, style="dim")


def _origin(snapshot: LabSnapshot, one: Experiment) -> Iterator[tuple[str, str]]:
    own = snapshot.campaign is not None and snapshot.campaign.setting.id == one.setting_id
    hypothesis = next((h for h in snapshot.hypotheses if h.id == one.hypothesis_id), None)
    facts = (
        ("agent", one.agent),
        ("hypothesis", f"{hypothesis.id}, {hypothesis.title}" if hypothesis else one.hypothesis_id or ""),
        ("rationale", hypothesis.rationale if hypothesis else ""),
        ("parent", f"{one.parent_id} ({one.parent_commit[:7]})" if one.parent_id else one.parent_commit[:7]),
        ("commit", one.commit or ""),
        ("branch", one.branch),
        ("setting", one.setting_id + ("" if own else ", of an earlier run")),
    )
    yield from (fact for fact in facts if fact[1])


def _run_row(one: Experiment, run: Run) -> tuple[str, ...]:
    seconds = held_s(run)
    return (
        run.id,
        run.kind.value,
        part_of(one, run).value,
        run.ending.value if run.ending else run.state.value,
        metric(run.metric),
        str(run.seed),
        run.device or "",
        str(run.steps or ""),
        f"{run.training_s:.0f}s" if run.training_s is not None else "",
        f"{seconds:.0f}s" if seconds is not None else "",
        f"{run.cpu_per_wall:.2f}" if run.cpu_per_wall is not None else "",
        str(run.attempt),
        run.reason,
    )


def _step_row(step: ThinkingStep) -> tuple[str, ...]:
    return (
        step.kind,
        step.ending,
        ("~" if step.usd_is_estimate else "") + dollars(step.usd) if step.usd else "",
        thousands(step.input_tokens + step.cache_write_tokens),
        thousands(step.output_tokens),
        thousands(step.cache_read_tokens),
        age(step.ended_at - step.started_at),
        step.model,
        step.detail,
    )
