"""Which run goes to which device. Pure."""

from __future__ import annotations

import math
from enum import IntEnum

from supervisor.analysis.champion import fresh_kind, runs_to_prove, values
from supervisor.analysis.drift import check_due
from supervisor.analysis.lineage import INCUMBENT_VERDICTS
from supervisor.analysis.noise import mean
from supervisor.analysis.sequential_test import DecideRules, chance_if_equal, fresh_runs_wanted
from supervisor.model.actions import QueueRun, StartRun
from supervisor.model.experiment import Experiment, Run
from supervisor.model.snapshot import Device, LabSnapshot
from supervisor.model.states import ExperimentState, Role, RunKind, RunState, Verdict
from supervisor.policy.verdicts import FRESH_KINDS, failed_fresh_runs
from supervisor.promotion.next_step import waiting_trials


class Urgency(IntEnum):
    """The order of the queue; the smallest goes first."""

    CANARY = 0  # fails in a moment, or shows that nothing here is worth measuring
    BASELINE = 1
    VERDICT = 2  # somebody's verdict hangs on it
    CANDIDATE = 3
    OVER_BUDGET = 4  # a verdict hangs on it, but repeats have had their share of the devices
    ESTIMATE = 5  # makes an incumbent better known
    SPECULATION = 6  # a draft whose predecessor is still being measured


def start_runs(
    snapshot: LabSnapshot, rules: DecideRules, *, candidates: bool, research: bool = True
) -> tuple[StartRun, ...]:
    """Give every free device the most urgent run, a junior's own device first; each run and device once.

    Without `candidates` only runs that finish what is begun are started, without `research` only those of a
    promotion. Of the repeats that verdicts hang on the most promising goes first; once repeats have had their share,
    they wait for candidates to be served.
    """
    over_budget = repeat_share(snapshot) > rules.repeat_share
    waiting = [
        (_rank(snapshot, experiment, run, over_budget), run.queued_at, run, experiment)
        for experiment in (snapshot.experiments if research else ())
        for run in experiment.runs
        if run.state is RunState.QUEUED and (candidates or run.kind is not RunKind.CANDIDATE)
    ]
    baseline = snapshot.experiment(snapshot.baseline_id)
    if research and baseline is not None:
        canaries = (run for run in snapshot.canaries if run.state is RunState.QUEUED)
        waiting += [((Urgency.CANARY, 0.0), run.queued_at, run, baseline) for run in canaries]
    first = (Urgency.VERDICT, -math.inf)  # a person waits for it
    waiting += [(first, run.queued_at, run, trial) for trial, run in waiting_trials(snapshot)]
    starts = []
    for group in free_groups(snapshot):
        if not waiting:
            break
        device, others = group[0], tuple(other.id for other in group[1:])
        best = min(
            waiting, key=lambda w: (w[0], own_device(snapshot, w[3].agent) != device.id, w[1], w[2].ordinal)
        )
        waiting.remove(best)
        starts.append(StartRun(best[2].id, device.id, others))
    return tuple(starts)


def repeat_share(snapshot: LabSnapshot) -> float:
    """The share of repeats among the runs that were started since the baseline; 0 before there are any."""
    kinds = [
        run.kind
        for experiment in snapshot.experiments
        for run in experiment.runs
        if run.started_at is not None and run.kind is not RunKind.BASELINE
    ]
    return sum(kind is not RunKind.CANDIDATE for kind in kinds) / len(kinds) if kinds else 0.0


def _rank(
    snapshot: LabSnapshot, experiment: Experiment, run: Run, over_budget: bool
) -> tuple[Urgency, float]:
    level = urgency(snapshot, experiment, run)
    if level is not Urgency.VERDICT:
        return level, 0.0
    return Urgency.OVER_BUDGET if over_budget else level, -promise(snapshot, experiment)


def promise(snapshot: LabSnapshot, experiment: Experiment) -> float:
    """How sure it is so far that an undecided candidate is a gain, 0 to 1; what others wait for comes first, with 1."""
    parent, campaign, noise = snapshot.experiment(experiment.parent_id), snapshot.campaign, snapshot.noise
    if experiment.is_decided or parent is None or campaign is None or noise is None:
        return 1.0
    ours, theirs = values(experiment, unbiased=False), values(parent, unbiased=True)
    if not ours or not theirs:
        return 1.0
    gain = campaign.direction.sign * (mean(ours) - mean(theirs))
    return 1.0 - chance_if_equal(gain, len(ours), len(theirs), noise.sd, noise.degrees_of_freedom)


def free_devices(snapshot: LabSnapshot) -> tuple[Device, ...]:
    """Devices that hold no lease, have no problem and no neighbour that is waited for."""
    return tuple(d for d in snapshot.devices if d.run_id is None and not d.problem and not d.avoided)


def free_groups(snapshot: LabSnapshot) -> tuple[tuple[Device, ...], ...]:
    """The free devices in as many as a run takes; what is left over waits for others to become free.

    Every run takes as many, and takes them at once or not at all: no two can wait for each other's.
    """
    free, size = free_devices(snapshot), snapshot.devices_per_run
    return tuple(free[at : at + size] for at in range(0, len(free) - size + 1, size))


def own_device(snapshot: LabSnapshot, agent: str) -> str | None:
    """The device that a junior's runs prefer: juniors are dealt round the devices in order."""
    juniors = [a.name for a in snapshot.agents if a.role is Role.JUNIOR]
    if agent not in juniors or not snapshot.devices:
        return None
    return snapshot.devices[juniors.index(agent) % len(snapshot.devices)].id


def urgency(snapshot: LabSnapshot, experiment: Experiment, run: Run) -> Urgency:
    """How much hangs on a queued run."""
    match run.kind:
        case RunKind.CANARY:
            return Urgency.CANARY
        case RunKind.BASELINE:
            return Urgency.BASELINE
        case RunKind.REPLICATION | RunKind.DRIFT:
            return Urgency.VERDICT
        case RunKind.FRESH | RunKind.VERIFICATION:
            return Urgency.VERDICT if _verdict_hangs_on(snapshot, experiment) else Urgency.ESTIMATE
        case RunKind.CANDIDATE:
            busy = any(
                e.agent == experiment.agent and e.state is ExperimentState.MEASURING and e.id != experiment.id
                for e in snapshot.experiments
            )
            return Urgency.SPECULATION if busy else Urgency.CANDIDATE


def estimate_runs(snapshot: LabSnapshot, rules: DecideRules) -> tuple[QueueRun, ...]:
    """Fresh runs of incumbents for devices that would otherwise stand idle or only speculate."""
    queued = [(e, run) for e in snapshot.experiments for run in e.runs if run.state is RunState.QUEUED]
    ahead = sum(urgency(snapshot, e, run) <= Urgency.ESTIMATE for e, run in queued)
    room = len(free_groups(snapshot)) - ahead - len(waiting_trials(snapshot))
    little_known = sorted(
        (e for e in incumbents(snapshot) if _pending(e) + len(e.unbiased_runs) < _wanted(snapshot, e, rules)),
        key=lambda e: (_pending(e) + len(e.unbiased_runs), e.id),
    )
    why = "to know the incumbent better"
    return tuple(QueueRun(e.id, fresh_kind(e), why) for e in little_known[: max(room, 0)])


def drift_runs(snapshot: LabSnapshot, rules: DecideRules) -> tuple[QueueRun, ...]:
    """The baseline once more, when it is time to see whether the machine is still the same."""
    why = check_due(snapshot, rules.drift_every, rules.noise_floor)
    return (QueueRun(snapshot.baseline_id, RunKind.DRIFT, why),) if why and snapshot.baseline_id else ()


def proving_runs(snapshot: LabSnapshot) -> tuple[QueueRun, ...]:
    """The fresh runs that a finished campaign still owes: nobody is called champion on fewer than three."""
    return tuple(
        QueueRun(e.id, fresh_kind(e), "to prove the keep before the campaign ends")
        for e in incumbents(snapshot)
        if e.verdict is Verdict.KEEP
        for _ in range(runs_to_prove(snapshot) - len(e.unbiased_runs) - _pending(e))
    )


def incumbents(snapshot: LabSnapshot) -> tuple[Experiment, ...]:
    """What the juniors build on now, each once."""
    ids = dict.fromkeys(a.incumbent_id for a in snapshot.agents if a.incumbent_id is not None)
    experiments = (snapshot.experiment(entry) for entry in ids)
    return tuple(e for e in experiments if e is not None and e.verdict in INCUMBENT_VERDICTS)


def _wanted(snapshot: LabSnapshot, incumbent: Experiment, rules: DecideRules) -> int:
    decided = (e for e in snapshot.experiments if e.parent_id == incumbent.id and e.is_decided)
    judged = sum(bool(e.deciding_runs) for e in decided)
    return fresh_runs_wanted(len(incumbent.unbiased_runs), judged, rules)


def _pending(experiment: Experiment) -> int:
    # A failed one counts too, or a commit that fails now and then would be run for ever.
    under_way = sum(run.kind in FRESH_KINDS and run.is_under_way for run in experiment.runs)
    return under_way + len(failed_fresh_runs(experiment))


def _verdict_hangs_on(snapshot: LabSnapshot, parent: Experiment) -> bool:
    return any(
        e.parent_id == parent.id
        and e.state is ExperimentState.MEASURING
        and not any(run.is_under_way for run in e.runs)
        for e in snapshot.experiments
    )
