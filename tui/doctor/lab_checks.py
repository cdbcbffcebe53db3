"""What a lab needs, looked at piece by piece: for `doctor`. Looks only, changes nothing."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from sessions.errors import SessionError, install_line
from supervisor.errors import LabError, line_for_person
from supervisor.lab.paths import Lab
from supervisor.lab.state_folder import LEAST_FREE_MB, MOUNTS, NETWORK_FILE_SYSTEMS, file_system_kind
from supervisor.model.states import CampaignState
from tui.doctor.check import Check, Health
from tui.doctor.gpu_checks import check_gpus

OLDEST_PYTHON = (3, 11)
ANSWER_WITHIN_S = 60.0
# In the lab's own Python, which may have torch where the tool's has none.
TORCH_PROBE = "import json, torch; print(json.dumps([torch.__version__, torch.cuda.is_available()]))"


def examine(lab: Lab | None, problem: str = "") -> Iterator[Check]:
    """Every check, as it is made. `problem` says why there is no lab."""
    yield check_python()
    yield check_program("git", "--version", "git")
    yield check_program("tmux", "-V", "tmux")
    yield check_devices(lab)
    yield from check_gpus(lab)
    yield check_preset()
    yield check_sandbox()
    if lab is None:
        yield Check("lab", Health.BAD, problem or "there is none here", "autoresearch-tui init")
        return
    yield Check(
        "lab", Health.GOOD, f"{lab.root} ({lab.layout.value}, edits {', '.join(lab.config.lab.editable)})"
    )
    for check in (
        check_training,
        check_guarantees,
        check_data,
        check_state,
        check_supervisor,
        check_worktrees,
    ):
        yield _run_check(check, lab)
    yield from check_backends(lab)


def check_backends(lab: Lab) -> Iterator[Check]:
    """What thinks for the agents: installed, which version, whose login; never a secret."""
    from roles.backends.clients.catalogue_files import user_folder
    from roles.backends.health import health_of

    config = lab.config.agents
    for agent in dict.fromkeys((config.chief, *config.junior)):
        health = health_of(agent, user_folder(lab))
        name = f"backend {agent.backend}" + (f":{agent.model}" if agent.model else "")
        yield Check(name, Health.GOOD if health.works else Health.BAD, health.summary, health.mend)


def check_python() -> Check:
    """The interpreter that runs the tool."""
    version = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        return Check("python", Health.BAD, version, "install Python 3.11 or newer")
    return Check("python", Health.GOOD, f"{version} ({sys.executable})")


def check_program(name: str, flag: str, package: str) -> Check:
    """A program of the system, by its own word."""
    path = shutil.which(name)
    if path is None:
        return Check(name, Health.BAD, "not installed", install_line(package))
    version = _ask([path, flag])
    if version is None:
        return Check(name, Health.BAD, f"{path} does not run", install_line(package))
    return Check(name, Health.GOOD, version.removeprefix("git version ").strip())


def check_devices(lab: Lab | None) -> Check:
    """What training can run on: of a lab, as its next launch would share it."""
    from sessions.devices.discovery import discover
    from supervisor.lab.hardware import hardware_for

    try:
        devices = discover(None) if lab is None else hardware_for(lab, None)
    except (SessionError, LabError) as error:
        return Check("devices", Health.BAD, str(error))
    return Check("devices", Health.GOOD, ", ".join(f"{device.id} ({device.label})" for device in devices))


def check_preset() -> Check:
    """What a new lab should be set to here."""
    from sessions.devices.discovery import discover
    from supervisor.lab.presets import fitting_preset

    try:
        preset = fitting_preset(discover(None))
    except SessionError as error:
        return Check("preset", Health.BAD, f"no device, no preset: {error}")
    line = f"autoresearch-tui init DIR --preset {preset.name}"
    return Check("preset", Health.GOOD, f"{preset.name} fits a new lab here ({preset.description}): `{line}`")


def check_sandbox() -> Check:
    """What confines a training run."""
    from sessions.sandbox.run_sandbox import Confinement, probe

    confinement = probe()
    if confinement is Confinement.BWRAP:
        return Check(
            "sandbox", Health.GOOD, "bubblewrap: runs have no network and see no other files of yours"
        )
    if confinement is Confinement.LANDLOCK:
        good = "namespaces and Landlock: runs have no network and see no other files of yours"
        return Check("sandbox", Health.GOOD, good)
    mend = install_line("bubblewrap") if sys.platform == "linux" else ""
    weak = (
        "runs are not confined"
        if confinement is Confinement.NONE
        else "unshare only: no network, but they can read your files"
    )
    return Check("sandbox", Health.WARNING, weak, mend)


def check_training(lab: Lab) -> Check:
    """torch, in the Python that trains."""
    from supervisor.lab.programs import lab_python

    python = lab_python(lab)
    if not lab.has_referee:
        return Check("training", Health.GOOD, f"`{lab.config.lab.command}`")
    answer = _ask([python, "-c", TORCH_PROBE])
    if answer is None:
        return Check(
            "training",
            Health.BAD,
            f"{python} has no torch",
            f"{python} -m pip install torch tokenizers numpy",
        )
    version, cuda = json.loads(answer.splitlines()[-1])
    return Check("training", Health.GOOD, f"torch {version}, {'CUDA' if cuda else 'no CUDA'} ({python})")


def check_guarantees(lab: Lab) -> Check:
    """What the lab's scores can be trusted for."""
    from supervisor.client.lab_client import LabClient

    guarantees = LabClient(lab).snapshot().guarantees
    if guarantees is None or not guarantees.weaker:
        return Check(
            "guarantees", Health.GOOD, "measured by the referee: seeds, smoke runs, probes and a holdout"
        )
    return Check("guarantees", Health.WARNING, f"{guarantees.line}; {'; '.join(guarantees.explained)}")


def check_data(lab: Lab) -> Check:
    """Whether the referee has prepared anything; each start of a run checks it byte by byte."""
    from supervisor.lab.paths import data_cache
    from supervisor.lab.programs import lab_python

    if not lab.has_referee:
        return Check("data", Health.GOOD, "the lab's own matter: it has no referee of ours")
    manifests = sorted(data_cache().glob("*/manifest.json"))
    if not manifests:
        return Check(
            "data", Health.WARNING, "not prepared; `launch` does it", f"{lab_python(lab)} prepare.py"
        )
    return Check("data", Health.GOOD, f"{len(manifests)} prepared, in {data_cache()}")


def check_state(lab: Lab) -> Check:
    """The state folder: its file system and its space."""
    folder = next(path for path in (lab.state_dir, *lab.state_dir.parents) if path.exists())
    kind = file_system_kind(folder, MOUNTS)
    free_mb = shutil.disk_usage(folder).free // 2**20
    where = f"{lab.state_dir}: {free_mb / 1024:.0f} GB free" + (f" on {kind}" if kind else "")
    if kind in NETWORK_FILE_SYSTEMS:
        return Check(
            "state", Health.BAD, f"{where}, a network file system", "name a local folder with --state-dir"
        )
    if free_mb < LEAST_FREE_MB:
        return Check("state", Health.BAD, f"{where}; a lab needs {LEAST_FREE_MB} MB", "free some disk space")
    if not os.access(folder, os.W_OK):
        return Check(
            "state", Health.BAD, f"{folder} cannot be written", "name another folder with --state-dir"
        )
    return Check("state", Health.GOOD, where)


def check_supervisor(lab: Lab) -> Check:
    """Whether somebody measures."""
    from supervisor.client.lab_client import LabClient

    snapshot = LabClient(lab).snapshot()
    if snapshot.campaign is None:
        return Check("supervisor", Health.GOOD, "nothing was launched yet")
    state = f"campaign {snapshot.campaign.tag} is {snapshot.campaign.state.value}"
    if snapshot.supervisor_alive:
        return Check("supervisor", Health.GOOD, f"runs; {state}")
    if snapshot.campaign.state is CampaignState.RUNNING:
        return Check("supervisor", Health.BAD, f"does not run, but {state}", "autoresearch-tui launch")
    return Check("supervisor", Health.GOOD, f"does not run; {state}")


def check_worktrees(lab: Lab) -> Check:
    """Worktrees and locks that somebody left behind."""
    from sessions.git.repository import Repository
    from sessions.git.worktrees import Worktrees

    repository = Repository.find(lab.root)
    gone = [path for path in Worktrees(repository, lab.worktree_lock).list() if not path.exists()]
    locks = [path for path in _index_locks(repository.git_dir) if path.exists()]
    if gone:
        return Check(
            "worktrees", Health.WARNING, f"{len(gone)} are gone, {gone[0]} first", "git worktree prune"
        )
    if locks:
        return Check(
            "worktrees", Health.WARNING, f"git is locked by {locks[0]}", f"if no git runs: rm {locks[0]}"
        )
    return Check("worktrees", Health.GOOD, "none stale, no locks left")


def _index_locks(git_dir: Path) -> list[Path]:
    return [git_dir / "index.lock", *sorted(git_dir.glob("worktrees/*/index.lock"))]


def _run_check(check: Callable[[Lab], Check], lab: Lab) -> Check:
    try:
        return check(lab)
    except Exception as error:
        return Check(check.__name__.removeprefix("check_"), Health.BAD, line_for_person(error))


def _ask(argv: list[str], cwd: Path | None = None) -> str | None:
    """What the program prints; None when it fails or takes too long."""
    try:
        answer = subprocess.run(
            argv,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout if answer.returncode == 0 else None
