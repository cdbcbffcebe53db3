"""Starting a training run on a device's bench, and taking what comes of it."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sessions.device_failures import speaks_of_device
from sessions.errors import RunnerError, SessionError
from sessions.git import Repository
from sessions.processes import end_tree, find_marked
from sessions.runners import end_runner, runner_alive, start_runner
from sessions.tmux import socket_name_for
from sessions.training_runs import (
    Expected,
    RunEnding,
    RunOutcome,
    RunSpec,
    read_outcome,
    read_progress,
)
from sessions.worktrees import Worktrees
from supervisor.errors import LabError
from supervisor.lab import STATE_FOLDER, Lab
from supervisor.plain import one_line
from supervisor.referee_copy import verify_referee
from supervisor.snapshot import Campaign, Device, Experiment, Run, Setting
from supervisor.states import RunKind
from supervisor.store import devices, reading, runs
from supervisor.store.connection import Store
from supervisor.uv_environment import environment_of, uv_readable, uv_variables

START_GRACE_S = 20.0  # a runner that holds no lock this long after its start will not come

# Everything else of the person's environment, keys above all, stays out of a training process.
PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "CUDA_HOME", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True)
class Job:
    """A run that is to be made, with all that it belongs to."""

    experiment: Experiment
    run: Run
    device: Device


def run_directory(lab: Lab, run: Run) -> Path:
    """Where this attempt of the run keeps its log, spec and outcome."""
    attempt = f".{run.attempt}" if run.attempt > 1 else ""
    return lab.runs_dir / run.experiment_id / f"run-{run.ordinal}{attempt}"


def start_run(
    lab: Lab, store: Store, repository: Repository, campaign: Campaign, job: Job, now: float
) -> bool:
    """Lease the device, set its bench to the commit and start a detached runner; False when the lease is gone."""
    if not runs.take_lease(store, job.run.id, job.device.id, now):
        return False
    try:
        bench = lab.benches_dir / job.device.id.replace(":", "-")
        assert job.experiment.commit is not None
        Worktrees(repository, lab.worktree_lock).reset(bench, job.experiment.commit)
        start_runner(_spec(lab, store, campaign, job, bench), cli_path())
    except BaseException as error:
        # What git can't lay out may be this commit's fault; a full disk is nobody's.
        why = f"it could not be started: {error}"
        runs.lose_run(store, campaign.tag, job.run.id, now, why, capped=isinstance(error, SessionError))
        raise
    return True


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
    if _device_failed(run, outcome):
        return _blame_device(store, tag, run, outcome.reason, now)
    return runs.finish_run(store, tag, run.id, outcome)


def _void(lab: Lab, store: Store, tag: str, run: Run, now: float) -> bool:
    """What it measures will not count, whatever it is: end it, and have it made again."""
    # A process on a GPU that is gone may be stuck for good; its device is out, so nothing needs to wait for it.
    with contextlib.suppress(RunnerError):
        end_run(lab, run)
    _end_leftovers(lab, run)
    runs.lose_run(store, tag, run.id, now, run.disturbed, capped=False, voided=True)
    return True


def _device_failed(run: Run, outcome: RunOutcome) -> bool:
    on_gpu = run.device is not None and run.device.startswith("cuda")
    return on_gpu and outcome.ending is RunEnding.CRASHED and speaks_of_device(outcome.reason)


def _blame_device(store: Store, tag: str, run: Run, words: str, now: float) -> bool:
    """Its device failed, it says: others make the run again, and the driver has the last word on the device."""
    problem = f"{run.id} died there of {one_line(words)[:120]!r}; the driver is asked"
    assert run.device is not None
    devices.record_device_problem(store, run.device, problem, now)
    # Capped, for the code under test chooses its last words.
    runs.lose_run(store, tag, run.id, now, f"its device failed: {words}", capped=True, voided=True)
    return True


def end_run(lab: Lab, run: Run) -> None:
    """Tell the run's runner to end its whole process tree."""
    end_runner(run_directory(lab, run))


def run_marker(lab: Lab, run: Run) -> str:
    """The mark in the environment of every process of this attempt, unlike any other on the machine."""
    return f"{socket_name_for(lab.root)}/{run.id}/{run.attempt}"


def command_argv(template: str, python: str) -> tuple[str, ...]:
    """A command of the configuration as an argument vector; no shell ever sees it."""
    return tuple(part.replace("{python}", python) for part in shlex.split(template))


def lab_python(lab: Lab) -> str:
    """The interpreter that trains: the lab's own, else the tool's."""
    if lab.config.lab.python:
        return str(lab.root / lab.config.lab.python)
    folders = (lab.root / ".venv", environment_of(lab))
    pythons = (folder / "bin" / "python" for folder in folders if folder is not None)
    return next((str(python) for python in pythons if os.access(python, os.X_OK)), sys.executable)


def cli_path() -> Path:
    """The installed console script, absolute: a folder of the same name in a lab can't shadow it. Raises LabError."""
    beside = Path(sys.executable).with_name("autoresearch-tui")
    if beside.exists():
        return beside
    found = shutil.which("autoresearch-tui")
    if found is None:
        raise LabError(
            "the console script autoresearch-tui is not installed; run `make launch` or pip install the tool"
        )
    return Path(found).absolute()


def data_cache() -> Path:
    """Where prepared data lives; prepare.py uses the same place."""
    named = os.environ.get("AUTORESEARCH_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "autoresearch-tui"


def sealed_data() -> Path:
    """Where prepare.py keeps what no run may read, the holdout above all; prepare.py uses the same place."""
    return data_cache().with_name(f"{data_cache().name}-sealed")


def training_env(lab: Lab, referee: Path, bench: Path, device_id: str) -> dict[str, str]:
    """The whole environment of a training process: a short allow-list and what a run needs."""
    env = {name: os.environ[name] for name in (*PASSED_ON, *lab.config.lab.env) if name in os.environ}
    env |= {
        "PYTHONPATH": str(referee),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AUTORESEARCH_CACHE": str(data_cache()),
    }
    if lab.has_referee:
        # Nothing that lies beside the script, or in a person's site-packages, may stand in for the referee.
        folders = dict.fromkeys(str((bench / path).parent) for path in lab.config.lab.editable)
        env |= {"PYTHONPATH": os.pathsep.join((str(referee), *folders))}
        env |= {"PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1"}
    if device_id.startswith("cpu"):
        env |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return env | uv_variables(lab)


def _spec(lab: Lab, store: Store, campaign: Campaign, job: Job, bench: Path) -> RunSpec:
    setting = campaign.setting
    directory = run_directory(lab, job.run)
    directory.mkdir(parents=True, exist_ok=True)
    referee = verify_referee(lab.referee_dir, setting.referee_hash)
    python = lab_python(lab)
    core, narrowed = reading.device_place(store, job.device.id)
    env = training_env(lab, referee, bench, job.device.id) | narrowed
    if lab.config.lab.seed_env:
        env[lab.config.lab.seed_env] = str(job.run.seed)
    return RunSpec(
        run_id=job.run.id,
        directory=directory,
        cwd=bench,
        argv=command_argv(lab.config.lab.command, python),
        env=env,
        seed=job.run.seed,
        smoke=_wants_smoke(lab, job.experiment),
        budget_s=setting.budget_s,
        clock=setting.clock,
        device="cuda:0" if job.device.id.startswith("cuda") else job.device.id,
        timeout_s=lab.config.timeout_for(setting.budget_s, setting.clock),
        metric=campaign.metric,
        metric_format=lab.config.metric.format,
        also=tuple(one.name for one in lab.config.metric.also),
        core=core,
        device_file=reading.device_file(store, job.device.id),
        marker=run_marker(lab, job.run),
        has_referee=lab.has_referee,
        readable=(referee, data_cache(), *uv_readable(lab)),
        caches=tuple(Path(cache).expanduser() for cache in lab.config.lab.caches),
        referee=referee,
        protected=tuple(bench / path.name for path in sorted(referee.glob("*.py"))),
        hidden=(lab.state_dir, lab.root / STATE_FOLDER, sealed_data()),
        holdout=_holdout_for(lab, setting.data_fingerprint, job.run.kind),
        expected=_expected(lab, setting, reading.measured_baseline_runs(store, campaign.tag)),
    )


def _holdout_for(lab: Lab, data_fingerprint: str, kind: RunKind) -> Path | None:
    # Only runs whose outcome decides no edit: what an agent climbs on must never be the sealed text.
    sealed = lab.holdout_dir / f"{data_fingerprint}.bin"
    asked = kind in (RunKind.BASELINE, RunKind.VERIFICATION)
    return sealed if lab.has_referee and asked and sealed.is_file() else None


def _expected(lab: Lab, setting: Setting, baseline: Sequence[Run]) -> Expected:
    """What the baseline's runs showed; a figure that none of them has holds nothing up."""
    if not lab.has_referee:
        return Expected()

    def usual(figures: Iterable[float | None]) -> float | None:
        known = [figure for figure in figures if figure is not None]
        return statistics.median(known) if known else None

    sizes = {run.evaluated_bytes for run in baseline if run.evaluated_bytes is not None}
    return Expected(
        data_fingerprint=setting.data_fingerprint or None,
        evaluated_bytes=sizes.pop() if len(sizes) == 1 else None,
        starting_cpu_s=usual(run.starting_cpu_s for run in baseline),
        evaluating_cpu_s=usual(run.evaluating_cpu_s for run in baseline),
    )


def _wants_smoke(lab: Lab, experiment: Experiment) -> bool:
    # Without a referee a smoke run would be a whole run; a commit that was measured once has shown that it works.
    return lab.has_referee and not any(run.metric is not None for run in experiment.runs)


def _end_leftovers(lab: Lab, run: Run) -> None:
    # Where no PID namespace takes the trainer's children along, their environment still carries the mark.
    for pid in find_marked(run_marker(lab, run)):
        end_tree(pid)


def _grace(directory: Path) -> float:
    # Before the runner has taken its lock only its spec is there.
    return START_GRACE_S if not (directory / "runner.lock").exists() else 0.0
