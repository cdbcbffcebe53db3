"""Starting a training run on a device's bench, and taking what comes of it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from sessions.devices.gpu import speaks_of_device
from sessions.errors import RunnerError, SessionError
from sessions.git.repository import Repository
from sessions.git.worktrees import Worktrees
from sessions.network import Network
from sessions.processes.marks import find_marked
from sessions.processes.tree import end_tree
from sessions.runs.contract import RunEnding, RunOutcome, read_outcome, read_progress
from sessions.runs.start import end_runner, runner_alive, start_runner
from sessions.sandbox.run_sandbox import Confinement
from supervisor.analysis.passing_failure import passing_failure
from supervisor.lab.ignored_files import lay_out
from supervisor.lab.paths import Lab
from supervisor.lab.programs import cli_path
from supervisor.model import ids
from supervisor.model.experiment import Run
from supervisor.model.snapshot import Campaign
from supervisor.model.states import RunKind
from supervisor.runs.hints import with_hint
from supervisor.runs.report import keep_report
from supervisor.runs.spec import Job, run_directory, run_marker, spec_of
from supervisor.store import devices, runs
from supervisor.store.connection import Store
from supervisor.text import one_line

START_GRACE_S = 20.0  # a runner that holds no lock this long after its start will not come


def start_run(
    lab: Lab, store: Store, repository: Repository, campaign: Campaign, job: Job, now: float
) -> bool:
    """Lease the device, set its bench to the commit and start a detached runner; False when the lease is gone."""
    if not runs.take_lease(store, job.run.id, job.device.id, now, [device.id for device in job.others]):
        return False
    try:
        bench = bench_of(lab, job.device.id)
        commit = job.run.commit or job.experiment.commit
        assert commit is not None
        Worktrees(repository, lab.worktree_lock).reset(bench, commit)
        lay_out(lab, repository, bench, commit)
        start_runner(spec_of(lab, store, campaign, job, bench), cli_path())
    except BaseException as error:
        # What git can't lay out may be this commit's fault; a full disk is nobody's.
        why = f"it could not be started: {error}"
        runs.lose_run(store, campaign.tag, job.run.id, now, why, capped=isinstance(error, SessionError))
        raise
    return True


def bench_of(lab: Lab, device_id: str) -> Path:
    """Where the runs on a device happen; of several devices it is the first one's."""
    return lab.benches_dir / ids.devices_in(device_id)[0].replace(":", "-")


def collect_run(lab: Lab, store: Store, tag: str, run: Run, now: float) -> bool:
    """Take the outcome of a running run, or notice that its runner is gone; True when something changed."""
    directory = run_directory(lab, run)
    if run.disturbed:
        return _void(lab, store, tag, run, now)
    outcome = read_outcome(directory)
    if outcome is None:
        if runner_alive(directory):
            progress = read_progress(directory)
            if progress is not None and progress != run.progress:
                runs.record_progress(store, run.id, progress)
            return False
        # Its last act is the outcome, then the lock goes: whoever sees no lock looks once more.
        outcome = read_outcome(directory)
    if outcome is None:
        if run.started_at is not None and now - run.started_at < _grace(directory):
            return False
        _end_leftovers(lab, run)
        runs.lose_run(store, tag, run.id, now, "its runner is gone without a result", capped=True)
        return True
    if outcome.ending is RunEnding.ENDED:
        runs.lose_run(store, tag, run.id, now, "it was ended before it had a result", capped=False)
        return True
    bench, unchanged = bench_of(lab, run.device or ""), run.kind is RunKind.BASELINE
    keep_report(lab, run, bench)
    if _device_failed(run, outcome):
        return _blame_device(store, tag, run, outcome.reason, now)
    if why := passing_failure(
        outcome, run.voided, offline=_was_offline(lab, outcome), memory_mb=_memory_mb()
    ):
        runs.lose_run(store, tag, run.id, now, why, capped=True, voided=True)
        return True
    outcome = with_hint(lab, directory, bench, outcome, unchanged=unchanged)
    return runs.finish_run(store, tag, run.id, outcome)


def _void(lab: Lab, store: Store, tag: str, run: Run, now: float) -> bool:
    """What it measures will not count, whatever it is: end it, and have it made again."""
    # A process on a GPU that is gone may be stuck for good; its device is out, so nothing needs to wait for it.
    with contextlib.suppress(RunnerError):
        end_run(lab, run)
    _end_leftovers(lab, run)
    runs.lose_run(store, tag, run.id, now, run.disturbed, capped=False, voided=True)
    return True


def _was_offline(lab: Lab, outcome: RunOutcome) -> bool:
    return lab.config.lab.network is Network.NONE and outcome.sandbox != Confinement.NONE


def _memory_mb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20


def _device_failed(run: Run, outcome: RunOutcome) -> bool:
    on_gpu = run.device is not None and run.device.startswith("cuda")
    return on_gpu and outcome.ending is RunEnding.CRASHED and speaks_of_device(outcome.reason)


def _blame_device(store: Store, tag: str, run: Run, words: str, now: float) -> bool:
    """Its device failed, it says: others make the run again, and the driver has the last word on the device."""
    problem = f"{run.id} died there of {one_line(words)[:120]!r}; the driver is asked"
    assert run.device is not None
    for device_id in ids.devices_in(run.device):
        devices.record_device_problem(store, device_id, problem, now)
    # Capped, for the code under test chooses its last words.
    runs.lose_run(store, tag, run.id, now, f"its device failed: {words}", capped=True, voided=True)
    return True


def end_run(lab: Lab, run: Run) -> None:
    """Tell the run's runner to end its whole process tree."""
    end_runner(run_directory(lab, run))


def _end_leftovers(lab: Lab, run: Run) -> None:
    # Where no PID namespace takes the trainer's children along, their environment still carries the mark.
    for pid in find_marked(run_marker(lab, run)):
        end_tree(pid)


def _grace(directory: Path) -> float:
    # Before the runner has taken its lock only its spec is there.
    return START_GRACE_S if not (directory / "runner.lock").exists() else 0.0
