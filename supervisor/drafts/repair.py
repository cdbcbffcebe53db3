"""A crash that is to be mended: the draft goes back to its junior once, with the end of the traceback."""

from __future__ import annotations

import time
from pathlib import Path

from sessions.files import read_tail
from sessions.runs.contract import LOG_FILE, RunEnding
from sessions.runs.log import without_escapes
from supervisor.drafts.junior_workspace import JuniorWorkspace
from supervisor.model.experiment import Experiment, Run
from supervisor.model.records import Judgement
from supervisor.model.states import ExperimentState, Verdict
from supervisor.runs.spec import run_directory
from supervisor.store import experiments

TAIL_BYTES, TAIL_LINES = 16_384, 60
_TRACEBACK = "Traceback (most recent call last):"


def mending_of(experiment: Experiment) -> Run | None:
    """The run whose crash this draft is to mend; None for a first draft."""
    if experiment.state is not ExperimentState.DRAFTING:
        return None
    return next((run for run in reversed(experiment.runs) if run.ending is RunEnding.CRASHED), None)


def restore_crashed(workspace: JuniorWorkspace, experiment: Experiment, run: Run) -> str:
    """Put the code that crashed into the worktree and its diff on record; returns the end of its log."""
    folder = workspace.lab.runs_dir / experiment.id
    patch = folder / "diff.patch"
    if patch.is_file():
        patch.replace(folder / f"diff-crashed-{run.ordinal}.patch")
    workspace.apply_change_of(experiment)
    return log_tail(run_directory(workspace.lab, run) / LOG_FILE) or run.reason


def settle_crash(workspace: JuniorWorkspace, experiment: Experiment, run: Run, why: str) -> None:
    """It could not be mended: the crash decides, as it would have at once, and its diff is the experiment's again."""
    folder = workspace.lab.runs_dir / experiment.id
    crashed = folder / f"diff-crashed-{run.ordinal}.patch"
    if crashed.is_file() and not (folder / "diff.patch").exists():
        crashed.replace(folder / "diff.patch")
    judgement = Judgement(Verdict.CRASH, f"{run.reason}; not mended: {why}" if why else run.reason)
    experiments.record_verdict(workspace.store, workspace.tag, experiment.id, judgement, time.time())


def log_tail(path: Path) -> str:
    """The end of a run's output, from its last traceback on; "" when there is none."""
    text = without_escapes(read_tail(path, TAIL_BYTES))
    at = text.rfind(_TRACEBACK)
    return "\n".join(text[max(at, 0) :].splitlines()[-TAIL_LINES:])
