"""Which run goes to which device. Pure."""

from __future__ import annotations

import math
from enum import IntEnum

from supervisor.analysis.beliefs import best_to_build_on, model_of
from supervisor.analysis.champion import fresh_kind, is_refuted, runs_to_prove
from supervisor.analysis.drift import check_due
from supervisor.analysis.expected_gain import DecideRules
from supervisor.analysis.lineage import INCUMBENT_VERDICTS
from supervisor.model.actions import QueueRun, StartRun
from supervisor.model.experiment import Experiment, Run
from supervisor.model.snapshot import Device, LabSnapshot
from supervisor.model.states import ExperimentState, Role, RunKind, RunState, Verdict
from supervisor.policy.verdicts import FRESH_KINDS, failed_fresh_runs
from supervisor.promotion.next_step import waiting_trials

IDLE_SHARE = 0.1  # of the budget: for so long a free device waits for a draft before it repeats anything
PROVEN_AFTER = 12  # candidates that an incumbent has outlived


class Urgency(IntEnum):
    """The order of the queue; the smallest goes first."""

    CANARY = 0  # fails in a moment, or shows that nothing here is worth measuring
    BASELINE = 1
    VERDICT = 2  # somebody's verdict hangs on it
    CANDIDATE = 3
    ESTIMATE = 4  # makes an incumbent better known
    SPECULATION = 5  # a draft whose predecessor is still being measured


def start_runs(snapshot: LabSnapshot, *, candidates: bool, research: bool = True) -> tuple[StartRun, ...]:
    """Give every free device the most urgent run, a junior's own device first; each run and device once.

    Without `candidates` only runs that finish what is begun are started, without `research` only those of a
    promotion. Of the repeats that verdicts hang on the most promising goes first.
    """
    waiting = [
        (_rank(snapshot, experiment, run), run.queued_at, run, experiment)
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


def _rank(snapshot: LabSnapshot, experiment: Experiment, run: Run) -> tuple[Urgency, float]:
    level = urgency(snapshot, experiment, run)
    return level, -promise(snapshot, experiment) if level is Urgency.VERDICT else 0.0


def promise(snapshot: LabSnapshot, experiment: Experiment) -> float:
    """How likely an undecided candidate is a gain, 0 to 1; what others wait for comes first, with 1."""
    if experiment.is_decided or not experiment.deciding_runs or experiment.parent_id is None:
        return 1.0
    model = model_of(snapshot)
    return model.gain(experiment.id).p_better if model.holds_pair(experiment.id) else 1.0


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
            return Urgency.VERDICT if _is_waited_for(snapshot, experiment) else Urgency.ESTIMATE
        case RunKind.CANDIDATE:
            busy = any(
                e.agent == experiment.agent and e.state is ExperimentState.MEASURING and e.id != experiment.id
                for e in snapshot.experiments
            )
            return Urgency.SPECULATION if busy else Urgency.CANDIDATE


def estimate_runs(snapshot: LabSnapshot) -> tuple[QueueRun, ...]:
    """Fresh runs of incumbents that are not proven, on devices that nothing else comes for.

    The best one is also proven when a streak of candidates has not beaten it: it is likely to stay.
    """
    if _is_spoken_for(snapshot):
        return ()  # what is still measured may be better; the end proves the best
    queued = [(e, run) for e in snapshot.experiments for run in e.runs if run.state is RunState.QUEUED]
    ahead = sum(urgency(snapshot, e, run) <= Urgency.ESTIMATE for e, run in queued)
    room = max(len(_idle_groups(snapshot)) - ahead - len(waiting_trials(snapshot)), 0)
    unproven = [e for e in incumbents(snapshot) if known_runs(e) < runs_to_prove(snapshot)]
    unproven.sort(key=lambda e: (known_runs(e), e.id))
    wanted = {e.id: e for e in unproven[:room]}
    best = best_to_build_on(snapshot, unproven)
    if best is not None and not room and judged_on(snapshot, best) >= PROVEN_AFTER:
        wanted.setdefault(best.id, best)
    return tuple(QueueRun(e.id, fresh_kind(e), "to prove what is built on") for e in wanted.values())


def _is_spoken_for(snapshot: LabSnapshot) -> bool:
    """Whether every experiment that the campaign may make is begun."""
    limit = snapshot.campaign.limits.experiments if snapshot.campaign else None
    return limit is not None and sum(e.id != snapshot.baseline_id for e in snapshot.experiments) >= limit


def _idle_groups(snapshot: LabSnapshot) -> tuple[tuple[Device, ...], ...]:
    """Free ones that no draft came for in a moment: one that is seconds away is worth more than a repeat."""
    assert snapshot.campaign is not None
    since = snapshot.taken_at - IDLE_SHARE * snapshot.campaign.setting.budget_s
    return tuple(group for group in free_groups(snapshot) if all((d.since or 0.0) <= since for d in group))


def judged_on(snapshot: LabSnapshot, incumbent: Experiment) -> int:
    """How many candidates were measured against it."""
    on_it = (e for e in snapshot.experiments if e.parent_id == incumbent.id and e.is_decided)
    return sum(bool(e.deciding_runs) for e in on_it)


def drift_runs(snapshot: LabSnapshot, rules: DecideRules) -> tuple[QueueRun, ...]:
    """The baseline once more, when it is time to see whether the machine is still the same."""
    why = check_due(snapshot, rules.drift_every, rules.noise_floor)
    return (QueueRun(snapshot.baseline_id, RunKind.DRIFT, why),) if why and snapshot.baseline_id else ()


def proving_runs(snapshot: LabSnapshot) -> tuple[QueueRun, ...]:
    """The fresh runs that a finished campaign still owes the best that it has: no champion on fewer than three."""
    sound = (e for e in incumbents(snapshot) if not is_refuted(snapshot, e))
    best = best_to_build_on(snapshot, sound)
    if best is None or best.verdict is not Verdict.KEEP:
        return ()
    owed = runs_to_prove(snapshot) - known_runs(best)
    return tuple(
        QueueRun(best.id, fresh_kind(best), "to prove the keep before the campaign ends") for _ in range(owed)
    )


def incumbents(snapshot: LabSnapshot) -> tuple[Experiment, ...]:
    """What the juniors build on now, each once."""
    ids = dict.fromkeys(a.incumbent_id for a in snapshot.agents if a.incumbent_id is not None)
    experiments = (snapshot.experiment(entry) for entry in ids)
    return tuple(e for e in experiments if e is not None and e.verdict in INCUMBENT_VERDICTS)


def known_runs(experiment: Experiment) -> int:
    """Its runs that were decided beforehand, those under way among them.

    A failed one counts too, or a commit that fails now and then would be run for ever.
    """
    under_way = sum(run.kind in FRESH_KINDS and run.is_under_way for run in experiment.runs)
    return under_way + len(failed_fresh_runs(experiment)) + len(experiment.unbiased_runs)


def _is_waited_for(snapshot: LabSnapshot, experiment: Experiment) -> bool:
    """Whether candidates have to wait for it, or have had their turn."""
    if judged_on(snapshot, experiment) >= PROVEN_AFTER:
        return True
    return any(
        e.parent_id == experiment.id
        and e.state is ExperimentState.MEASURING
        and not any(run.is_under_way for run in e.runs)
        for e in snapshot.experiments
    )
