"""What a training run is given: its command, environment, seed, budget, and what it may see."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sessions.environment import NETWORK, TRAINING_RUN, looks_secret, passed_on
from sessions.network import Network
from sessions.runs.contract import Expected, RunSpec
from sessions.tmux.terminal import socket_name_for
from supervisor.lab.config import Budget
from supervisor.lab.hardware import thread_variables
from supervisor.lab.ignored_files import dotenv_files, readable_sources
from supervisor.lab.paths import Lab, data_cache, sealed_data
from supervisor.lab.programs import command_argv, lab_python, python_readable
from supervisor.lab.referee_copy import verify_referee
from supervisor.lab.uv_environment import uv_readable, uv_variables
from supervisor.model.experiment import Experiment, Run
from supervisor.model.snapshot import Campaign, Device, Setting
from supervisor.model.states import RunKind
from supervisor.runs.import_roots import import_roots, python_path
from supervisor.store import reading
from supervisor.store.connection import Store


@dataclass(frozen=True, slots=True)
class Job:
    """A run that is to be made, with all that it belongs to."""

    experiment: Experiment
    run: Run
    device: Device
    others: tuple[Device, ...] = ()  # further ones, of a run that takes several


@dataclass(frozen=True, slots=True)
class DevicePlace:
    """Where on the machine a run computes."""

    id: str
    cores: tuple[int, ...]
    environment: dict[str, str]


def run_directory(lab: Lab, run: Run) -> Path:
    """Where this attempt of the run keeps its log, spec and outcome."""
    attempt = f".{run.attempt}" if run.attempt > 1 else ""
    name = f"canary{run.ordinal}" if run.kind is RunKind.CANARY else f"run-{run.ordinal}"
    return lab.runs_dir / run.experiment_id / f"{name}{attempt}"


def run_marker(lab: Lab, run: Run) -> str:
    """The mark in the environment of every process of this attempt, unlike any other on the machine."""
    return f"{socket_name_for(lab.root)}/{run.id}/{run.attempt}"


def training_env(lab: Lab, referee: Path, bench: Path, device_id: str) -> dict[str, str]:
    """The whole environment of a training process: a short allow-list and what a run needs."""
    harmless = (name for name in lab.config.lab.env if not looks_secret(name))
    env = passed_on((*TRAINING_RUN, *harmless)) | {
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AUTORESEARCH_CACHE": str(data_cache()),
    }
    if lab.has_referee:
        # Nothing that lies beside the script, or in a person's site-packages, may stand in for the referee.
        folders = dict.fromkeys(str((bench / path).parent) for path in lab.config.lab.editable)
        env |= {"PYTHONPATH": os.pathsep.join((str(referee), *folders))}
        env |= {"PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1"}
    else:
        env |= {"PYTHONPATH": python_path(lab, bench / lab.folder, referee)}
    if device_id.startswith("cpu"):
        env |= {"CUDA_VISIBLE_DEVICES": ""}
    if lab.config.lab.network is Network.OPEN:
        env |= passed_on(NETWORK)
    return env | uv_variables(lab)


def hidden_from_runs(lab: Lab) -> tuple[Path, ...]:
    """The lab's state, and the person's checkout: what a command finds there by its path is not the edit."""
    return (lab.top, lab.state_dir)


def readable_folders(lab: Lab) -> tuple[Path, ...]:
    """What of the person's own a run of this lab may read: its environment, its caches, what its links lead to."""
    caches = (Path(cache).expanduser() for cache in lab.config.lab.caches)
    return (*uv_readable(lab), *python_readable(lab), *readable_sources(lab), *caches)


def spec_on_bench(
    lab: Lab,
    run_id: str,
    directory: Path,
    bench: Path,
    referee: Path,
    device: DevicePlace,
    seed: int,
    budget: Budget,
) -> RunSpec:
    """What every run of the lab's command is given, whatever it is for."""
    directory.mkdir(parents=True, exist_ok=True)
    config = lab.config.lab
    env = training_env(lab, referee, bench, device.id) | device.environment
    env = thread_variables(device.cores) | env
    if config.seed_env:
        env[config.seed_env] = str(seed)
    outside_git = () if lab.has_referee else import_roots(lab, bench / lab.folder).readable
    return RunSpec(
        run_id=run_id,
        directory=directory,
        cwd=bench / lab.folder,
        argv=command_argv(config.command, lab_python(lab)),
        env=env,
        seed=seed,
        budget_s=budget.seconds,
        clock=budget.clock,
        device="cuda:0" if device.id.startswith("cuda") else device.id,
        timeout_s=budget.timeout_s,
        metric=lab.config.metric.name,
        metric_format=lab.config.metric.format,
        metric_pattern=lab.config.metric.pattern,
        metric_file=lab.config.metric.file,
        gates=lab.config.metric.gates,
        cores=device.cores,
        has_referee=lab.has_referee,
        readable=(bench, referee, data_cache(), *readable_folders(lab), *outside_git),
        caches=tuple(Path(cache).expanduser() for cache in config.caches),
        referee=referee,
        protected=tuple(bench / lab.folder / path.name for path in sorted(referee.glob("*.py"))),
        network=config.network,
        given=tuple(name for name in config.env if looks_secret(name)),
        secret_files=dotenv_files(lab),
        hidden=(
            *hidden_from_runs(lab),
            sealed_data(),
        ),
    )


def place_of(store: Store, job: Job) -> DevicePlace:
    """Where on the machine the job computes: its device, or several seen as CUDA lists them."""
    cores, environment = reading.device_place(store, job.device.id)
    for other in job.others:
        more = reading.device_place(store, other.id)[1]
        environment = {name: f"{value},{more[name]}" for name, value in environment.items()}
    return DevicePlace(job.device.id, cores, environment)


def spec_of(lab: Lab, store: Store, campaign: Campaign, job: Job, bench: Path) -> RunSpec:
    """What this run of the campaign is given."""
    setting = campaign.setting
    referee = verify_referee(lab.referee_dir, setting.referee_hash)
    device = place_of(store, job)
    timeout_s = lab.config.timeout_for(setting.budget_s, setting.clock)
    budget = Budget(setting.budget_s, setting.clock, timeout_s)
    directory = run_directory(lab, job.run)
    spec = spec_on_bench(lab, job.run.id, directory, bench, referee, device, job.run.seed, budget)
    files = tuple(reading.device_file(store, one.id) for one in (job.device, *job.others))
    is_canary = job.run.kind is RunKind.CANARY
    baseline = reading.measured_baseline_runs(store, campaign.tag)
    has_shown_that_it_works = is_canary or any(run.metric is not None for run in job.experiment.runs)
    return replace(
        spec,
        metric=campaign.metric,
        also=tuple(one.name for one in lab.config.metric.secondary),
        smoke=not has_shown_that_it_works,
        smoke_argv=command_argv(lab.config.lab.smoke, lab_python(lab)),
        device_files=tuple(file for file in files if file) if None not in files else (),
        marker=run_marker(lab, job.run),
        holdout=holdout_for(lab, setting.data_fingerprint, job.run.kind),
        expected=Expected() if is_canary else expected_of(lab, setting, baseline),
    )


def holdout_for(lab: Lab, data_fingerprint: str, kind: RunKind) -> Path | None:
    # Only runs whose outcome decides no edit: what an agent climbs on must never be the sealed text.
    sealed = lab.holdout_dir / f"{data_fingerprint}.bin"
    measures_it = kind in (RunKind.BASELINE, RunKind.VERIFICATION)
    return sealed if lab.has_referee and measures_it and sealed.is_file() else None


def expected_of(lab: Lab, setting: Setting, baseline: Sequence[Run]) -> Expected:
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
