"""The lab as JSON: the schemas that scripts rely on. Units are in the names; null where there is nothing."""

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
from tui.views.experiment import story_view

if TYPE_CHECKING:
    from supervisor.model.records import ThinkingStep

SCHEMA = 1


def experiments_view(snapshot: LabSnapshot, shown: Iterable[Experiment]) -> dict[str, Any]:
    """These experiments of the lab, in their order."""
    return {"schema": SCHEMA, "experiments": [experiment_record(snapshot, one) for one in shown]}


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
        "story": story_view(snapshot, experiment),
        "steps_of_thinking": [_step_record(step) for step in steps],
    }
    return {"schema": SCHEMA, "experiment": record}


def _step_record(step: ThinkingStep) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "agent": step.agent,
        "backend": step.backend,
        "model": step.model or None,
        "started_at": step.started_at,
        "took_s": step.ended_at - step.started_at,
        "ending": step.ending,
        "detail": step.detail,
        "usd": step.usd,
        "usd_is_estimate": step.usd_is_estimate,
        "input_tokens": step.input_tokens,
        "output_tokens": step.output_tokens,
        "cache_read_tokens": step.cache_read_tokens,
        "cache_write_tokens": step.cache_write_tokens,
    }


def experiment_record(snapshot: LabSnapshot, experiment: Experiment) -> dict[str, Any]:
    """One experiment; `metric` is null unless its verdict rests on one."""
    metric = (
        experiment.metric if experiment.verdict in (Verdict.BASELINE, Verdict.KEEP, Verdict.DISCARD) else None
    )
    name = snapshot.campaign.metric if snapshot.campaign else "metric"
    ran = [run for run in experiment.runs if run.started_at is not None]
    return {
        "id": experiment.id,
        "agent": experiment.agent,
        "branch": experiment.branch,
        "state": experiment.state.value,
        "commit": experiment.commit,
        "parent_commit": experiment.parent_commit,
        "parent_id": experiment.parent_id,
        "hypothesis_id": experiment.hypothesis_id,
        "title": experiment.title,
        "verdict": experiment.verdict.value if experiment.verdict else None,
        "reason": experiment.reason,
        "metric": metric,
        "metrics": {} if metric is None else {name: metric, **experiment.also},
        "gain": experiment.gain,
        "gain_interval": _interval(experiment),
        "runs": [_run_record(run) for run in experiment.runs],
        "confidence": experiment.confidence,
        "setting": experiment.setting_id,
        "device": next((run.device for run in reversed(ran)), None),
        "started_at": min((run.started_at for run in ran if run.started_at is not None), default=None),
        "decided_at": experiment.decided_at,
        "training_s": _total(run.training_s for run in ran),
        "total_s": _total(run.total_s for run in ran),
        "cost_usd": experiment.cost_usd,
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
                "metric": own.metric if own else None,
                "direction": campaign.direction.value if campaign and own else None,
                "budget_s": own.budget_s if own else None,
                "clock": own.clock.value if own else None,
                "device_kind": own.device_kind if own else None,
                "noise": _noise(snapshot) if own else None,
                "rows": [_ranked_record(snapshot, row) for row in rows],
            }
        )
    return {"schema": SCHEMA, "settings": settings}


def status_view(snapshot: LabSnapshot, tmux_socket: str) -> dict[str, Any]:
    """What runs where."""
    campaign = snapshot.campaign
    champion = snapshot.experiment(snapshot.champion_id)
    cost = sum(agent.cost_usd for agent in snapshot.agents)
    return {
        "schema": SCHEMA,
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
        "limits": {
            "experiments": campaign.limits.experiments if campaign else None,
            "hours": campaign.limits.hours if campaign else None,
            "usd": campaign.limits.usd if campaign else None,
        },
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
    return {"schema": SCHEMA, "branches": [_branch_record(one) for one in branches]}


def hypotheses_view(hypotheses: tuple[Hypothesis, ...]) -> dict[str, Any]:
    """The plan, in the order in which it is taken."""
    return {"schema": SCHEMA, "hypotheses": [_hypothesis_record(one) for one in hypotheses]}


def notes_view(notes: tuple[Note, ...]) -> dict[str, Any]:
    """The shared notes, newest first."""
    return {"schema": SCHEMA, "notes": [note_record(note) for note in notes]}


def note_record(note: Note) -> dict[str, Any]:
    """One note without its text."""
    return {
        "id": note.id,
        "title": note.title,
        "author": note.author,
        "created_at": note.created_at,
        "experiment_id": note.experiment_id,
        "path": str(note.path),
    }


def _ranked_record(snapshot: LabSnapshot, row: Row) -> dict[str, Any]:
    return experiment_record(snapshot, row.experiment) | {
        "rank": row.rank,
        "champion": row.champion,
        "delta_baseline": row.delta_baseline,
        "delta_incumbent": row.delta_incumbent,
        "inside_noise": row.inside_noise,
        "runs_behind": row.runs,
        "margin": row.margin,
        "dots": row.dots,
        "unverified": row.unverified,
    }


def _guarantees_record(snapshot: LabSnapshot) -> dict[str, Any] | None:
    given = snapshot.guarantees
    return dataclasses.asdict(given) | {"weaker": list(given.weaker)} if given else None


def _run_record(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "kind": run.kind.value,
        "state": run.state.value,
        "ending": run.ending.value if run.ending else None,
        "reason": run.reason,
        "seed": run.seed,
        "device": run.device,
        "metric": run.metric,
        "also": dict(run.also),
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "training_s": run.training_s,
        "total_s": run.total_s,
        "held_s": held_s(run),
        "cpu_per_wall": run.cpu_per_wall,
        "peak_memory_mb": run.peak_memory_mb,
        "steps": run.steps,
        "tokens": run.tokens,
        "attempt": run.attempt,
        "voided": list(run.voided),
    }


def _agent_record(snapshot: LabSnapshot, agent: Agent) -> dict[str, Any]:
    experiment, run = current_work(snapshot, agent)
    return {
        "name": agent.name,
        "role": agent.role.value,
        "backend": agent.backend,
        "state": agent.state.value,
        "state_since": agent.state_since,
        "wanted": agent.wanted.value,
        "doing": agent.doing,
        "experiment": experiment.id if experiment else None,
        "progress": run.progress.fraction if run and run.progress else None,
        "device": run.device if run else None,
        "branch": agent.branch,
        "incumbent": agent.incumbent_id,
        "restarts": agent.restarts,
        "cost_usd": agent.cost_usd,
        "thinking": spending_view(agent.spending),
        "waiting_for": agent.waiting_for,
        "parked_until": agent.parked_until,
    }


def spending_view(spending: Spending) -> dict[str, Any]:
    """What steps of thinking cost; `input_tokens` are those that no cache had to do with."""
    return {
        "steps": spending.steps,
        "usd": spending.usd,
        "usd_is_estimate": spending.is_estimate,
        "input_tokens": spending.input_tokens,
        "output_tokens": spending.output_tokens,
        "cache_read_tokens": spending.cache_read_tokens,
        "cache_write_tokens": spending.cache_write_tokens,
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
    return {
        "id": device.id,
        "kind": device.kind,
        "label": device.label,
        "run": device.run_id,
        "progress": run.progress.fraction if run and run.progress else None,
        "since": device.since,
        "problem": device.problem,
        "uuid": device.uuid or None,
        "neighbour": device.neighbour,
        "waits_for_neighbour": device.avoided,
        "sensors": _sensors_record(device.reading),
    }


def _sensors_record(reading: GpuReading | None) -> dict[str, Any] | None:
    if reading is None:
        return None
    return {
        "at": reading.at,
        "utilization_percent": reading.utilization_percent,
        "memory_used_mb": reading.memory_used_mb,
        "memory_total_mb": reading.memory_total_mb,
        "temperature_c": reading.temperature_c,
        "power_w": reading.power_w,
        "throttled_by": [reason.value for reason in reading.throttled],
    }


def _hypothesis_record(hypothesis: Hypothesis) -> dict[str, Any]:
    return {
        "id": hypothesis.id,
        "title": hypothesis.title,
        "rationale": hypothesis.rationale,
        "change": hypothesis.change,
        "expected_gain": hypothesis.expected_gain,
        "category": hypothesis.category,
        "risk": hypothesis.risk,
        "builds_on": list(hypothesis.builds_on),
        "falsified_by": hypothesis.falsified_by,
        "independent": hypothesis.independent,
        "parent_id": hypothesis.parent_id,
        "state": hypothesis.state.value,
        "author": hypothesis.author,
        "created_at": hypothesis.created_at,
        "claimed_by": hypothesis.claimed_by,
        "experiment_id": hypothesis.experiment_id,
    }


def _noise(snapshot: LabSnapshot) -> dict[str, Any] | None:
    if snapshot.noise is None:
        return None
    return {
        "sd": snapshot.noise.sd,
        "degrees_of_freedom": snapshot.noise.degrees_of_freedom,
        "runs": snapshot.noise.runs,
    }


def _interval(experiment: Experiment) -> list[float] | None:
    if experiment.gain_low is None or experiment.gain_high is None:
        return None
    return [experiment.gain_low, experiment.gain_high]


def _total(seconds: Any) -> float | None:
    known = [value for value in seconds if value is not None]
    return sum(known) if known else None
