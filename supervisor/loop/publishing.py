"""Carrying verdicts out of the store: branches, git notes, files. Safe to repeat after a kill at any line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from sessions.errors import GitError
from sessions.files import write_atomically
from sessions.git.repository import Repository
from supervisor.lab.paths import Lab
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import Agent, Hypothesis, LabSnapshot
from supervisor.model.states import HypothesisState, Role, Verdict
from supervisor.store.connection import Store
from supervisor.store.experiments import mark_published, unpublished_experiments
from supervisor.text import signed_figure


def publish_verdicts(
    lab: Lab, store: Store, repository: Repository, snapshot: LabSnapshot, now: float
) -> bool:
    """Write what was decided since the last time; True when there was something."""
    assert snapshot.campaign is not None
    pending = unpublished_experiments(store, snapshot.campaign.tag)
    for experiment_id in pending:
        experiment = snapshot.experiment(experiment_id)
        if experiment is None:
            continue
        text = json.dumps(result(experiment), indent=1)
        folder = lab.runs_dir / experiment.id
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "result.json", text)
        if experiment.commit is not None:
            repository.add_note(experiment.commit, text)
        mark_published(store, experiment.id, now)
    if pending:
        write_results(lab.results_tsv, snapshot)
    return bool(pending)


def result(experiment: Experiment) -> dict[str, Any]:
    """The whole story of an experiment as plain data."""
    record = dataclasses.asdict(experiment)
    record["metric"] = experiment.metric
    for run in record["runs"]:
        run.pop("progress")
        run.pop("holdout")  # agents read this
    return record


def move_branches(repository: Repository, snapshot: LabSnapshot) -> tuple[str, ...]:
    """Bring every junior's branch to its incumbent by compare-and-swap; returns what could not be moved and why.

    A branch that does not lead to the new incumbent keeps its commits under a numbered name.
    """
    branches = repository.refs("refs/heads/autoresearch/")
    problems = []
    for agent in snapshot.agents:
        incumbent = snapshot.experiment(agent.incumbent_id)
        if agent.role is not Role.JUNIOR or incumbent is None or incumbent.commit is None:
            continue
        current = branches.get(f"refs/heads/{agent.branch}")
        if current == incumbent.commit:
            continue
        place = repository.checked_out_at(agent.branch)
        if place is not None:  # moved under a person's feet, their next commit would undo it
            problems.append(f"{agent.branch} waits for {place} to check something else out")
            continue
        try:
            _move(repository, agent, current, incumbent.commit, branches)
        except GitError as error:
            problems.append(f"{agent.branch} stays where it is: {error}")
    return tuple(problems)


def _move(
    repository: Repository, agent: Agent, current: str | None, target: str, branches: dict[str, str]
) -> None:
    numbered = _numbered(agent, branches)
    if current is not None and not repository.is_ancestor(current, target) and current not in numbered:
        repository.set_ref(f"refs/heads/{agent.branch}-{len(numbered) + 1}", current, None)
    repository.set_ref(f"refs/heads/{agent.branch}", target, current)


def _numbered(agent: Agent, branches: dict[str, str]) -> list[str]:
    stem = f"refs/heads/{agent.branch}-"
    return [sha for ref, sha in branches.items() if ref.startswith(stem) and ref[len(stem) :].isdigit()]


# Upstream's dialect knows three words; a run without a number is a crash with 0.000000 there.
_TSV_STATUS = {
    Verdict.BASELINE: "keep",
    Verdict.KEEP: "keep",
    Verdict.DISCARD: "discard",
    Verdict.THOUGHT: "discard",
    Verdict.CRASH: "crash",
    Verdict.TIMEOUT: "crash",
    Verdict.REJECTED: "crash",
}


def write_results(path: Path, snapshot: LabSnapshot) -> None:
    """results.tsv: every verdict so far in upstream's five columns, oldest first, so that notebooks go on working."""
    campaign = snapshot.campaign
    if campaign is None:
        return
    decided = [e for e in snapshot.experiments if e.is_decided and e.verdict is not Verdict.THOUGHT]
    decided.sort(key=lambda e: (e.decided_at or 0.0, e.id))
    head = f"commit\t{campaign.metric}\tmemory_gb\tstatus\tdescription"
    lines = [head, *_imported_rows(snapshot), *map(_results_row, decided)]
    write_atomically(path, "\n".join(lines) + "\n")


def _imported_rows(snapshot: LabSnapshot) -> list[str]:
    """What the person's own file had before, where it is about the same metric: a notebook goes on from it."""
    assert snapshot.campaign is not None
    lines = []
    for one in snapshot.imported:
        if one.metric_name == snapshot.campaign.metric:
            commit, description = " ".join(one.commit.split()), " ".join(one.description.split())
            figures = f"{_decimals(one.metric)}\t{one.memory_gb or 0.0:.1f}"
            lines.append(f"{commit}\t{figures}\t{one.status}\t{description}")
    return lines


def _results_row(experiment: Experiment) -> str:
    assert experiment.verdict is not None
    status = _TSV_STATUS[experiment.verdict]
    metric = experiment.metric if status != "crash" else None
    peaks = [run.peak_memory_mb or 0.0 for run in experiment.runs if status != "crash"]
    memory_mb = max(peaks, default=0.0)
    description = "baseline" if experiment.verdict is Verdict.BASELINE else experiment.title
    if status == "crash":
        description += f" ({experiment.verdict}: {experiment.reason})"
    clean = " ".join(description.split())
    commit = (experiment.commit or "")[:7] or "-"
    return f"{commit}\t{_decimals(metric)}\t{memory_mb / 1024:.1f}\t{status}\t{clean}"


def _decimals(metric: float | None) -> str:
    """Upstream's six decimals, where they say enough."""
    return f"{metric:.6g}" if metric and not 1e-2 <= abs(metric) < 1e9 else f"{metric or 0.0:.6f}"


def write_plan(lab: Lab, snapshot: LabSnapshot) -> None:
    """plan.md: the chief's current plan, readable as it stands."""
    waiting = [h for h in snapshot.hypotheses if h.state is not HypothesisState.TESTED]
    lines = ["# Plan", ""] + [line for h in waiting for line in _entry(h)]
    if not waiting:
        lines.append("Nothing is waiting.")
    text = "\n".join(lines) + "\n"
    if not lab.plan_file.exists() or lab.plan_file.read_text(encoding="utf-8") != text:
        write_atomically(lab.plan_file, text)


def _entry(hypothesis: Hypothesis) -> list[str]:
    gain = f"{signed_figure(hypothesis.expected_gain)}" if hypothesis.expected_gain is not None else "unknown"
    owner = f", {hypothesis.claimed_by}" if hypothesis.claimed_by else ""
    kind = hypothesis.category or "idea"
    return [
        f"## {hypothesis.id} {' '.join(hypothesis.title.split())}",
        "",
        f"*{hypothesis.state}{owner} · {kind} · by {hypothesis.author} · expected gain {gain}*",
        "",
        hypothesis.rationale.strip(),
        "",
        f"Change: {hypothesis.change.strip()}",
        "",
    ]
