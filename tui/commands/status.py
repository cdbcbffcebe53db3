"""`status`: what runs where."""

from __future__ import annotations

import sys
import time

import click

from supervisor.client.lab_client import LabClient
from supervisor.model.experiment import Experiment, Run
from supervisor.model.snapshot import Agent, Device, LabSnapshot
from supervisor.model.states import CampaignState, HypothesisState, RunState
from tui.commands.command_line import Command
from tui.commands.options import json_option, lab_options
from tui.views.as_json import current_work, status_view
from tui.views.experiment import drift_in_words
from tui.views.figures import age, change, dollars, metric, sensors, share, throttling
from tui.views.printing import Column, print_json, print_table, say
from tui.views.text import plain

AGENT_COLUMNS = (
    Column("agent"),
    Column("state"),
    Column("for", right=True, spare=1),
    Column("experiment"),
    Column("device", spare=2),
    Column("done", right=True),
    Column("doing", wide=True),
)
DEVICE_COLUMNS = (Column("device"), Column("run"), Column("done", right=True), Column("what", wide=True))
FOLLOW_EVERY_S = 1.0  # at the most; a change is told sooner


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui status",
        "autoresearch-tui status --json | jq '.agents[] | {name, state, progress}'",
        "autoresearch-tui status --follow --json     one snapshot a line, whenever something changes",
    ),
)
@click.option("--follow", is_flag=True, help="Go on: one line per change, until Ctrl-C.")
@json_option
@lab_options
def status(client: LabClient, follow: bool, as_json: bool) -> None:
    """What runs where: agents, devices, limits, queue, champion."""
    if follow:
        _follow(client, as_json)
        return
    snapshot = client.snapshot()
    if as_json:
        print_json(status_view(snapshot, client.tmux_socket))
    else:
        print_status(snapshot)


def print_status(snapshot: LabSnapshot) -> None:
    """The lab's state for people."""
    say(headline(snapshot), style="bold")
    for line in _details(snapshot):
        say(line)
    if snapshot.campaign is None:
        return
    say("")
    print_table(AGENT_COLUMNS, (_agent_row(snapshot, agent) for agent in snapshot.agents), "No agents.")
    say("")
    print_table(DEVICE_COLUMNS, (_device_row(snapshot, device) for device in snapshot.devices), "No devices.")


def headline(snapshot: LabSnapshot) -> str:
    """The lab in one line."""
    campaign = snapshot.campaign
    if campaign is None:
        return f"{snapshot.root}: not launched; `autoresearch-tui launch` starts"
    state = campaign.state.value + (f" ({campaign.reason})" if campaign.reason else "")
    training = sum(run.state is RunState.RUNNING for one in snapshot.experiments for run in one.runs)
    parts = [
        f"{campaign.tag} {state}",
        _score(snapshot),
        f"{snapshot.counted} experiments, {snapshot.kept} kept",
        f"{training} training",
        age(campaign.running_s),
    ]
    return " · ".join(part for part in parts if part)


def _score(snapshot: LabSnapshot) -> str:
    campaign, baseline = snapshot.campaign, snapshot.experiment(snapshot.baseline_id)
    champion = snapshot.experiment(snapshot.champion_id)
    assert campaign is not None
    if baseline is None or baseline.metric is None:
        return f"{campaign.metric} not measured yet"
    if champion is None or champion.metric is None or champion is baseline:
        return f"{campaign.metric} {metric(baseline.metric)} (baseline)"
    gain = campaign.direction.sign * (champion.metric - baseline.metric)
    way = f"{metric(baseline.metric)} → {metric(champion.metric)}"
    return f"{campaign.metric} {way} ({change(gain)}, {champion.id})"


def _details(snapshot: LabSnapshot) -> list[str]:
    campaign = snapshot.campaign
    if campaign is None:
        return []
    lines = []
    if campaign.state is CampaignState.RUNNING and not snapshot.supervisor_alive:
        lines.append(
            "the supervisor does not run: `autoresearch-tui launch` starts it again, nothing is lost"
        )
    if snapshot.trouble:
        lines.append(plain(snapshot.trouble))
    if snapshot.drift:
        lines.append(drift_in_words(snapshot))
    if snapshot.guarantees and snapshot.guarantees.line:
        lines.append(snapshot.guarantees.line)
    limits = campaign.limits
    parts = [
        f"{snapshot.counted}/{limits.experiments} experiments" if limits.experiments is not None else "",
        f"{campaign.running_s / 3600:.1f}/{limits.hours:g} h" if limits.hours is not None else "",
        f"${sum(a.cost_usd for a in snapshot.agents):.2f}/${limits.usd:g}" if limits.usd is not None else "",
    ]
    lines.append(
        "limits: " + (", ".join(part for part in parts if part) or "none; it runs until you stop it")
    )
    if cost := sum(agent.cost_usd for agent in snapshot.agents):
        each = f", {dollars(cost / snapshot.kept)} for each keep" if snapshot.kept else ""
        estimate = "about " if any(agent.spending.is_estimate for agent in snapshot.agents) else ""
        lines.append(f"models: {estimate}{dollars(cost)}{each}")
    queued = sum(run.state is RunState.QUEUED for one in snapshot.experiments for run in one.runs)
    waiting = sum(one.state is HypothesisState.OPEN for one in snapshot.hypotheses)
    lines.append(f"queue: {queued} runs wait for a device, {waiting} hypotheses for a junior")
    return lines


def _agent_row(snapshot: LabSnapshot, agent: Agent) -> tuple[str, ...]:
    experiment, run = current_work(snapshot, agent)
    doing = agent.doing or (experiment.title if experiment else "")
    if agent.parked_until is not None:
        doing = f"until {time.strftime('%H:%M', time.localtime(agent.parked_until))}: {doing}"
    if agent.waiting_for:
        doing = f"{doing}; waits for {agent.waiting_for}".removeprefix("; ")
    return (
        agent.name,
        agent.state.value,
        age(snapshot.taken_at - agent.state_since),
        experiment.id if experiment else "",
        (run.device or "") if run else "",
        share(run.progress.fraction).strip() if run and run.progress else "",
        doing,
    )


def _device_row(snapshot: LabSnapshot, device: Device) -> tuple[str, ...]:
    run = snapshot.run(device.run_id)
    experiment = snapshot.experiment(run.experiment_id) if run else None
    return (
        device.id,
        run.id if run else "idle",
        share(run.progress.fraction).strip() if run and run.progress else "",
        _what(device, run, experiment),
    )


def _what(device: Device, run: Run | None, experiment: Experiment | None) -> str:
    if device.problem:
        return f"out: {plain(device.problem)}"
    slowed = throttling(device.reading)
    parts = (
        f"{run.kind.value}: {experiment.title}" if run and experiment else device.label,
        sensors(device.reading),
        f"slowed by {slowed}" if slowed else "",
        f"{'busy' if device.avoided else 'shared'}: {plain(device.neighbour)}" if device.neighbour else "",
    )
    return " · ".join(part for part in parts if part)


def _follow(client: LabClient, as_json: bool) -> None:
    last = ""
    while True:
        snapshot = client.snapshot()
        if as_json:
            print_json(status_view(snapshot, client.tmux_socket), one_line=True)
        elif (line := headline(snapshot)) != last:
            say(f"{time.strftime('%H:%M:%S', time.localtime(snapshot.taken_at))}  {line}")
            last = line
        sys.stdout.flush()
        client.wait_for_change(FOLLOW_EVERY_S)
