"""From measurements to a verdict, or to the run that is still missing. Pure."""

from __future__ import annotations

import json
import re

from sessions.runs.contract import RunEnding
from supervisor.analysis.champion import fresh_kind, values
from supervisor.analysis.lineage import lineage_of
from supervisor.analysis.noise import mean
from supervisor.analysis.secondary_limits import broken_limit
from supervisor.analysis.sequential_test import DecideRules, Decision, Ruling, decide
from supervisor.lab.config import LabConfig
from supervisor.model.actions import Judge, Mend, QueueRun, SettleBaseline
from supervisor.model.experiment import Experiment, Run
from supervisor.model.records import Judgement
from supervisor.model.snapshot import Agent, Hypothesis, LabSnapshot
from supervisor.model.states import PORT, RunKind, RunState, Verdict
from supervisor.policy.canary import is_waited_for, why_not_what_runs
from supervisor.text import figure

BASELINE_RUNS = 3  # measured ones, at the least
FAILED_FRESH_RUNS = 3  # of an incumbent, after which nothing more is spent on knowing it
FRESH_KINDS = (RunKind.FRESH, RunKind.VERIFICATION)
CANNOT_MEND = frozenset({"offline"})  # a search knows one way to make an edit
_PLACE_IN_CODE = re.compile(r"\([^()]+\.\w+:\d+\)$")  # how the reason of a stack ends

_VERDICT_OF_ENDING = {
    RunEnding.CRASHED: Verdict.CRASH,
    RunEnding.OUT_OF_MEMORY: Verdict.CRASH,
    RunEnding.TIMED_OUT: Verdict.TIMEOUT,
    RunEnding.REJECTED: Verdict.REJECTED,
}


def rules_of(config: LabConfig) -> DecideRules:
    """How sure the lab wants to be."""
    return DecideRules(**dict(config.decide), repairs=config.agents.repairs)


def baseline_runs_for(devices: int) -> int:
    """How many baseline runs open a campaign: at least three, and every device busy with the same load throughout."""
    return max(devices, -(-BASELINE_RUNS // devices) * devices)


def judge_baseline(snapshot: LabSnapshot, baseline: Experiment) -> SettleBaseline | Judge | QueueRun | None:
    """Settle the baseline when all its runs are in; one that fails as often as it runs ends as what it was."""
    measured = values(baseline, unbiased=True)
    refused = next((run for run in baseline.runs if run.ending is RunEnding.REJECTED), None)
    if refused is not None and not measured and not any(r.state is RunState.RUNNING for r in baseline.runs):
        return Judge(
            baseline.id, Judgement(Verdict.REJECTED, refused.reason)
        )  # the others would say the same
    if any(run.is_under_way for run in baseline.runs):
        return None
    if len(measured) >= BASELINE_RUNS:
        if is_waited_for(snapshot):
            return None
        if why := why_not_what_runs(snapshot, baseline):
            return Judge(baseline.id, Judgement(Verdict.REJECTED, why))
        sd = f" ± {figure(snapshot.noise.sd)}" if snapshot.noise else ""
        return SettleBaseline(baseline.id, f"{figure(mean(measured))}{sd} over {len(measured)} runs")
    failures = [run for run in baseline.runs if run.metric is None]
    failed = failures[-1]
    if len(failures) <= len(measured):  # a busy machine, not the code
        why = f"{failed.id} {failed.ending}: {failed.reason}"
        return QueueRun(baseline.id, RunKind.BASELINE, why, BASELINE_RUNS - len(measured))
    assert failed.ending is not None
    return Judge(baseline.id, Judgement(_VERDICT_OF_ENDING.get(failed.ending, Verdict.CRASH), failed.reason))


def judge(
    snapshot: LabSnapshot, experiment: Experiment, rules: DecideRules
) -> Judge | QueueRun | Mend | None:
    """What the runs of an undecided experiment say, once none of them is under way; None: wait."""
    parent, campaign = snapshot.experiment(experiment.parent_id), snapshot.campaign
    if (
        parent is None
        or campaign is None
        or any(run.is_under_way for run in experiment.runs)
        or not (current := _runs_of_commit(experiment))
    ):
        return None
    failure = next((run for run in current if run.metric is None), None)
    if failure is not None:
        if _is_to_be_mended(snapshot, experiment, failure, rules):
            return Mend(experiment.id, failure.reason)
        assert failure.ending is not None
        verdict = _VERDICT_OF_ENDING.get(failure.ending, Verdict.CRASH)
        return Judge(experiment.id, Judgement(verdict, failure.reason))
    if not parent.is_decided or snapshot.noise is None:
        return None
    if broken := broken_limit(snapshot, experiment):
        return Judge(experiment.id, Judgement(Verdict.REJECTED, broken))
    measured = values(parent, unbiased=True)
    if not measured:
        return _fresh_runs(experiment, parent, 1, "the incumbent has no run yet that was decided beforehand")
    decision = decide(values(experiment, unbiased=False), measured, snapshot.noise, rules, campaign.direction)
    match decision.ruling:
        case Ruling.REPEAT_CANDIDATE:
            return QueueRun(experiment.id, RunKind.REPLICATION, decision.reason)
        case Ruling.REPEAT_INCUMBENT:
            return _fresh_runs(experiment, parent, decision.runs_wanted, decision.reason)
        case Ruling.DISCARD:
            return Judge(experiment.id, _judgement(Verdict.DISCARD, decision, decision.reason))
        case Ruling.KEEP:
            return _keep(snapshot, experiment, decision)


def _runs_of_commit(experiment: Experiment) -> tuple[Run, ...]:
    """Its runs without those of a commit that crashed and was mended."""
    return tuple(run for run in experiment.runs if run.queued_at >= (experiment.ready_at or 0.0))


def _is_to_be_mended(snapshot: LabSnapshot, experiment: Experiment, failure: Run, rules: DecideRules) -> bool:
    """Whether the first run of this commit ended in a traceback, and its junior may try to mend that."""
    owner = snapshot.agent(experiment.agent)
    current = _runs_of_commit(experiment)
    earlier = len(experiment.runs) - len(current)
    return (
        earlier < rules.repairs
        and current == (failure,)
        and failure.ending is RunEnding.CRASHED
        and bool(_PLACE_IN_CODE.search(failure.reason))
        and owner is not None
        and owner.backend not in CANNOT_MEND
    )


def _fresh_runs(experiment: Experiment, parent: Experiment, count: int, why: str) -> Judge | QueueRun | None:
    if any(run.is_under_way for run in parent.runs):
        return None
    if len(failed_fresh_runs(parent)) >= FAILED_FRESH_RUNS:
        text = f"can't be judged: fresh runs of its incumbent {parent.id} fail ({failed_fresh_runs(parent)[-1].reason})"
        return Judge(experiment.id, Judgement(Verdict.DISCARD, text))
    return QueueRun(parent.id, fresh_kind(parent), why, count)


def failed_fresh_runs(experiment: Experiment) -> tuple[Run, ...]:
    """Fresh runs of an incumbent that ended without a metric, those on the holdout among them."""
    return tuple(r for r in experiment.runs if r.kind in FRESH_KINDS and r.ending and r.metric is None)


def _keep(snapshot: LabSnapshot, experiment: Experiment, decision: Decision) -> Judge:
    agent = snapshot.agent(experiment.agent)
    if agent is not None and agent.incumbent_id == experiment.parent_id:
        return Judge(experiment.id, _judgement(Verdict.KEEP, decision, decision.reason), new_incumbent=True)
    now_on = agent.incumbent_id if agent else None
    was = f"better than {experiment.parent_id} ({decision.reason})"
    reason = f"{was}; its branch went on to {now_on}: tried again"
    retry = port_of(experiment, now_on) if now_on else None
    return Judge(experiment.id, _judgement(Verdict.DISCARD, decision, reason), retry=retry)


def port_of(experiment: Experiment, onto: str) -> Hypothesis:
    """The same change once more, on top of another incumbent."""
    gain = f"gained {figure(experiment.gain)}" if experiment.gain is not None else "was better"
    return Hypothesis(
        title=f"port {experiment.id} onto {onto}: {experiment.title}",
        rationale=f"It {gain} over {experiment.parent_id}; a gain counts here only when it is measured here.",
        change=experiment.title,
        expected_gain=experiment.gain,
        category=PORT,
        edit=json.dumps({"port_of": experiment.id, "edit": experiment.edit}),
    )


def _judgement(verdict: Verdict, decision: Decision, reason: str) -> Judgement:
    low, high = decision.gain_low, decision.gain_high
    return Judgement(verdict, reason, decision.gain, low, high, decision.confidence)


def lost_keeps(snapshot: LabSnapshot, agent: Agent, champion: Experiment) -> tuple[Experiment, ...]:
    """Keeps of the agent's branch that the champion's lineage lacks."""
    theirs = {entry.id for entry in lineage_of(snapshot, champion.id)}
    own = lineage_of(snapshot, agent.incumbent_id)
    return tuple(e for e in own if e.verdict is Verdict.KEEP and e.id not in theirs)
