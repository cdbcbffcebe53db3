"""results.tsv in karpathy's five columns, so that existing notebooks go on working."""

from __future__ import annotations

from pathlib import Path

from sessions.files import write_atomically
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import ExperimentState, Verdict

# His dialect knows three words; a run without a number is a crash with 0.000000 there.
_STATUS = {
    Verdict.BASELINE: "keep",
    Verdict.KEEP: "keep",
    Verdict.DISCARD: "discard",
    Verdict.THOUGHT: "discard",
    Verdict.CRASH: "crash",
    Verdict.TIMEOUT: "crash",
    Verdict.REJECTED: "crash",
}


def write_results(path: Path, snapshot: LabSnapshot) -> None:
    """Write every verdict so far, oldest first."""
    campaign = snapshot.campaign
    if campaign is None:
        return
    decided = [
        e
        for e in snapshot.experiments
        if e.state is ExperimentState.DECIDED and e.verdict is not Verdict.THOUGHT
    ]
    decided.sort(key=lambda e: (e.decided_at or 0.0, e.id))
    lines = [
        f"commit\t{campaign.metric}\tmemory_gb\tstatus\tdescription",
        *_imported(snapshot),
        *(_row(e) for e in decided),
    ]
    write_atomically(path, "\n".join(lines) + "\n")


def _imported(snapshot: LabSnapshot) -> list[str]:
    """What the person's own file had before, where it is about the same metric: a notebook goes on from it."""
    assert snapshot.campaign is not None
    lines = []
    for one in snapshot.imported:
        if one.metric_name == snapshot.campaign.metric:
            commit, said = " ".join(one.commit.split()), " ".join(one.description.split())
            lines.append(
                f"{commit}\t{one.metric or 0.0:.6f}\t{one.memory_gb or 0.0:.1f}\t{one.status}\t{said}"
            )
    return lines


def _row(experiment: Experiment) -> str:
    assert experiment.verdict is not None
    status = _STATUS[experiment.verdict]
    metric = experiment.metric if status != "crash" else None
    memory_mb = (
        max((run.peak_memory_mb or 0.0 for run in experiment.runs), default=0.0) if status != "crash" else 0.0
    )
    description = "baseline" if experiment.verdict is Verdict.BASELINE else experiment.title
    if status == "crash":
        description += f" ({experiment.verdict}: {experiment.reason})"
    clean = " ".join(description.split())
    commit = (experiment.commit or "")[:7] or "-"
    return f"{commit}\t{metric or 0.0:.6f}\t{memory_mb / 1024:.1f}\t{status}\t{clean}"
