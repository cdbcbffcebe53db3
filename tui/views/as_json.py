"""The lab as JSON, as scripts rely on it. Units are in the names; null where there is nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sessions.devices.gpu import GpuReading
from supervisor.analysis.leaderboard import Row, leaderboard
from supervisor.analysis.lineage import Branch
from supervisor.analysis.verdict_basis import held_s
from supervisor.model.experiment import Experiment, Run, Spending
from supervisor.model.snapshot import Agent, Device, Hypothesis, LabSnapshot, Note
from supervisor.model.states import ExperimentState, HypothesisState, RunState, Verdict
from tui.views.experiment import verdict_basis_record
from tui.views.secondary import secondary_records

if TYPE_CHECKING:
    from supervisor.model.records import ThinkingStep


def experiments_view(snapshot: LabSnapshot, experiments: Iterable[Experiment]) -> dict[str, Any]:
    """These experiments of the lab, in their order."""
    return {"experiments": [experiment_record(snapshot, one) for one in experiments]}


def experiment_view(
    snapshot: LabSnapshot, experiment: Experiment, steps: Sequence[ThinkingStep] = ()
) -> dict[str, Any]:
    """One experiment with what its agent wrote about it, and what each step of its thinking cost."""
    record = experiment_record(snapshot, experiment)
    record |= {
        "expectation": experiment.expectation,
        "reflection": experiment.reflection,
        "lines_added": experiment.lines_added,
        "lines_removed": experiment.lines_removed,
        "story": verdict_basis_record(snapshot, experiment),
        "steps_of_thinking": [_step_record(step) for step in steps],
    }
    return {"experiment": record}


def _step_record(step: ThinkingStep) -> dict[str, Any]:
    names = "kind agent backend model started_at ending detail usd usd_is_estimate input_tokens output_tokens"
    record = _fields(step, f"{names} cache_read_tokens cache_write_tokens")
    return record | {"model": step.model or None, "took_s": step.ended_at - step.started_at}


def experiment_record(snapshot: LabSnapshot, experiment: Experiment) -> dict[str, Any]:
    """One experiment; `metric` is null unless its verdict rests on one."""
    metric = (
        experiment.metric if experiment.verdict in (Verdict.BASELINE, Verdict.KEEP, Verdict.DISCARD) else None
    )
    name = snapshot.campaign.metric if snapshot.campaign else "metric"
    started = [run for run in experiment.runs if run.started_at is not None]
    names = "id agent branch state commit parent_commit parent_id hypothesis_id title verdict reason gain confidence"
    return _fields(experiment, f"{names} decided_at cost_usd") | {
        "metric": metric,
        "metrics": {} if metric is None else {name: metric, **experiment.also},
        "gain_interval": _interval(experiment),
        "runs": [_run_record(run) for run in experiment.runs],
        "setting": experiment.setting_id,
        "device": next((run.device for run in reversed(started)), None),
        "started_at": min((run.started_at for run in started if run.started_at is not None), default=None),
        "training_s": _total(run.training_s for run in started),
        "total_s": _total(run.total_s for run in started),
        "thinking": spending_view(experiment.spending),
        "flags": [dataclasses.asdict(flag) for flag in experiment.flags],
    }


def leaderboard_view(snapshot: LabSnapshot) -> dict[str, Any]:
    """What was measured, best first, by setting; a crash is never among it."""
    settings = []
    for setting_id, rows in groupby(leaderboard(snapshot), key=lambda row: row.setting_id):
        campaign = snapshot.campaign
        own = campaign.setting if campaign and campaign.setting.id == setting_id else None
        settings.append(
            {
                "setting": setting_id,
                "direction": campaign.direction.value if campaign and own else None,
                **_fields(own, "metric budget_s clock device_kind"),
                "unit": snapshot.unit if own else None,
                "secondary": secondary_records(snapshot) if own else [],
                "noise": _noise(snapshot) if own else None,
                "rows": [_ranked_record(snapshot, row) for row in rows],
            }
        )
    return {"settings": settings}


def status_view(snapshot: LabSnapshot, tmux_socket: str) -> dict[str, Any]:
    """What runs where."""
    campaign = snapshot.campaign
    champion = snapshot.experiment(snapshot.champion_id)
    cost = sum(agent.cost_usd for agent in snapshot.agents)
    return {
        "lab": str(snapshot.root),
        "taken_at": snapshot.taken_at,
        "tag": campaign.tag if campaign else None,
        "state": campaign.state.value if campaign else "not launched",
        "reason": campaign.reason if campaign else "",
        "supervisor_alive": snapshot.supervisor_alive,
        "trouble": snapshot.trouble,
        "guarantees": _guarantees_record(snapshot),
        "drift": dataclasses.asdict(snapshot.drift) if snapshot.drift else None,
        "agents": [_agent_record(snapshot, agent) for agent in snapshot.agents],
        "devices": [_device_record(snapshot, device) for device in snapshot.devices],
        "limits": _fields(campaign.limits if campaign else None, "experiments hours usd"),
        "counted_experiments": snapshot.counted,
        "kept_experiments": snapshot.kept,
        "experiments_per_hour": snapshot.experiments_per_hour,
        "running_s": campaign.running_s if campaign else 0.0,
        "cost_usd": cost,
        "cost_usd_per_keep": cost / snapshot.kept if snapshot.kept else None,
        "queue": {
            "queued_runs": [
                run.id for one in snapshot.experiments for run in one.runs if run.state is RunState.QUEUED
            ],
            "ready_experiments": [
                one.id for one in snapshot.experiments if one.state is ExperimentState.READY
            ],
            "open_hypotheses": sum(one.state is HypothesisState.OPEN for one in snapshot.hypotheses),
        },
        "champion": experiment_record(snapshot, champion) if champion else None,
        "noise": _noise(snapshot),
        "tmux_socket": tmux_socket,
    }


def branches_view(branches: Sequence[Branch]) -> dict[str, Any]:
    """Each junior's branch; `lineage` goes from the run's base to the head."""
    return {"branches": [_branch_record(one) for one in branches]}


def hypotheses_view(hypotheses: tuple[Hypothesis, ...]) -> dict[str, Any]:
    """The plan, in the order in which it is taken."""
    return {"hypotheses": [_hypothesis_record(one) for one in hypotheses]}


def notes_view(notes: tuple[Note, ...]) -> dict[str, Any]:
    """The shared notes, newest first."""
    return {"notes": [note_record(note) for note in notes]}


def note_record(note: Note) -> dict[str, Any]:
    """One note without its text."""
    return _fields(note, "id title author created_at experiment_id path")


def _ranked_record(snapshot: LabSnapshot, row: Row) -> dict[str, Any]:
    standing = _fields(
        row, "rank champion delta_baseline delta_incumbent inside_noise margin dots unverified"
    )
    return experiment_record(snapshot, row.experiment) | standing | {"runs_behind": row.runs}


def _guarantees_record(snapshot: LabSnapshot) -> dict[str, Any] | None:
    guarantees = snapshot.guarantees
    return dataclasses.asdict(guarantees) | {"weaker": list(guarantees.weaker)} if guarantees else None


def _run_record(run: Run) -> dict[str, Any]:
    names = "id kind state ending reason seed device metric also started_at finished_at training_s total_s"
    more = "cpu_per_wall peak_memory_mb steps tokens attempt voided"
    return _fields(run, f"{names} {more}") | {"held_s": held_s(run)}


def _agent_record(snapshot: LabSnapshot, agent: Agent) -> dict[str, Any]:
    experiment, run = current_work(snapshot, agent)
    names = (
        "name role backend state state_since wanted doing branch restarts cost_usd waiting_for parked_until"
    )
    return _fields(agent, names) | {
        "experiment": experiment.id if experiment else None,
        "progress": run.progress.fraction if run and run.progress else None,
        "device": run.device if run else None,
        "incumbent": agent.incumbent_id,
        "thinking": spending_view(agent.spending),
    }


def spending_view(spending: Spending) -> dict[str, Any]:
    """What steps of thinking cost; `input_tokens` are those that no cache had to do with."""
    names = "steps usd input_tokens output_tokens cache_read_tokens cache_write_tokens"
    return _fields(spending, names) | {
        "usd_is_estimate": spending.is_estimate,
        "unpriced_model": spending.unpriced or None,
    }


def current_work(snapshot: LabSnapshot, agent: Agent) -> tuple[Experiment | None, Run | None]:
    """The experiment that an agent is at, and the run of it that trains: the one that trains goes first."""
    undecided = [
        one
        for one in snapshot.experiments
        if one.agent == agent.name and one.state is not ExperimentState.DECIDED
    ]
    for experiment in undecided:
        for run in experiment.runs:
            if run.state is RunState.RUNNING:
                return experiment, run
    return (undecided[0] if undecided else None), None


def _branch_record(branch: Branch) -> dict[str, Any]:
    head = branch.lineage[-1] if branch.lineage else None
    return {
        "branch": branch.name,
        "agent": branch.agent,
        "head_commit": head.commit if head else None,
        "head": head.id if head else None,
        "metric": head.metric if head else None,
        "gain_over_base": branch.gain_over_base,
        "keeps": branch.keeps,
        "champion": branch.is_champion,
        "lineage": [experiment.id for experiment in branch.lineage],
    }


def _device_record(snapshot: LabSnapshot, device: Device) -> dict[str, Any]:
    run = snapshot.run(device.run_id)
    return _fields(device, "id kind label since problem neighbour") | {
        "run": device.run_id,
        "progress": run.progress.fraction if run and run.progress else None,
        "uuid": device.uuid or None,
        "waits_for_neighbour": device.avoided,
        "sensors": _sensors_record(device.reading),
    }


def _sensors_record(reading: GpuReading | None) -> dict[str, Any] | None:
    if reading is None:
        return None
    return _fields(reading, "at utilization_percent memory_used_mb memory_total_mb temperature_c") | {
        "power_w": reading.power_w,
        "throttled_by": list(reading.throttled),
    }


def _hypothesis_record(hypothesis: Hypothesis) -> dict[str, Any]:
    names = (
        "id title rationale change expected_gain category risk builds_on falsified_by independent parent_id"
    )
    return _fields(hypothesis, f"{names} state author created_at claimed_by experiment_id")


def _noise(snapshot: LabSnapshot) -> dict[str, Any] | None:
    return _fields(snapshot.noise, "sd degrees_of_freedom runs") if snapshot.noise else None


def _fields(value: object, names: str) -> dict[str, Any]:
    """These attributes of a value, by their names; null where there is no value."""
    return {name: None if value is None else getattr(value, name) for name in names.split()}


def _interval(experiment: Experiment) -> list[float] | None:
    if experiment.gain_low is None or experiment.gain_high is None:
        return None
    return [experiment.gain_low, experiment.gain_high]


def _total(seconds: Any) -> float | None:
    measured = [value for value in seconds if value is not None]
    return sum(measured) if measured else None
