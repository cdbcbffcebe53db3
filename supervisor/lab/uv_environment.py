"""Labs that run under uv: one environment for all worktrees, made at the set-up and only used by runs."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from sessions.files import write_atomically
from sessions.runs.failure_reason import failure_reason
from sessions.sandbox.filesystem_view import python_homes
from supervisor.errors import LaunchError
from supervisor.lab.paths import Lab
from supervisor.lab.programs import Say, run_aloud

PROGRAM = "uv"
INSTALL = "pip install uv, or see https://docs.astral.sh/uv"
_OURS = "environment"  # in the state folder: the one that we made
# What uv reads above a bench, where it looks for the workspace that the project may belong to.
_PROJECT_FILES = ("pyproject.toml", "uv.lock", "uv.toml", ".python-version")
_CHECK_TIMEOUT_S = 60.0


def uses_uv(lab: Lab) -> bool:
    """Whether uv runs any of the lab's commands, or could from within one: there is a lock file."""
    config = lab.config
    commands = (config.lab.command, config.lab.setup, config.lab.smoke, config.checks.command)
    return any(shlex.split(c)[:1] == [PROGRAM] for c in commands) or _may_use_uv(lab)


def _may_use_uv(lab: Lab) -> bool:
    return (lab.root / "uv.lock").is_file() and shutil.which(PROGRAM) is not None


def make_environment(lab: Lab, checkout: Path, say: Say) -> None:
    """Have an environment that fits the lock file of `checkout`: the person's own where it does, else one of ours.

    Raises LaunchError when there is no uv, or when it fails.
    """
    if not uses_uv(lab) or not (checkout / "pyproject.toml").is_file():
        (lab.uv_pointer).unlink(missing_ok=True)
        return
    if shutil.which(PROGRAM) is None:
        raise LaunchError(f"this lab runs under uv, which is not installed: {INSTALL}")
    own = lab.root / ".venv"
    if own.is_dir() and _fits(own, checkout):
        write_atomically(lab.uv_pointer, f"{own}\n")
        say(f"uv: runs use your {own}, which is in sync")
        return
    ours = lab.state_dir / _OURS
    _sync(ours, checkout, say)
    write_atomically(lab.uv_pointer, f"{ours}\n")


def uv_variables(lab: Lab) -> dict[str, str]:
    """For whatever runs in a worktree: uv uses the one environment, and neither changes it nor asks the network."""
    environment = lab.uv_environment
    if environment is None:
        return {}
    return {
        "UV_PROJECT_ENVIRONMENT": str(environment),
        "UV_NO_SYNC": "1",  # or an edited pyproject.toml would install what it names
        "UV_OFFLINE": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }


def uv_readable(lab: Lab) -> tuple[Path, ...]:
    """What a confined run under uv has to see."""
    environment = lab.uv_environment
    if environment is None:
        return ()
    files = (lab.root / name for name in _PROJECT_FILES)
    return (
        environment,
        *python_homes(str(environment / "bin" / "python"), (lab.root, lab.state_dir)),
        *(f for f in files if f.is_file()),
    )


def uv_setup_variables(lab: Lab) -> dict[str, str]:
    """For the set-up command: as for runs, but it may fetch data."""
    return {name: value for name, value in uv_variables(lab).items() if name != "UV_OFFLINE"}


def _fits(environment: Path, checkout: Path) -> bool:
    try:
        process = subprocess.run(
            [PROGRAM, "sync", "--check", "--offline"],
            cwd=checkout,
            env=os.environ | {"UV_PROJECT_ENVIRONMENT": str(environment)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CHECK_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return process.returncode == 0


def _sync(environment: Path, checkout: Path, say: Say) -> None:
    say("uv sync: one environment for all runs")
    env = os.environ | {"UV_PROJECT_ENVIRONMENT": str(environment), "NO_COLOR": "1"}
    exit_code, lines = run_aloud((PROGRAM, "sync"), checkout, env, say)
    if exit_code:
        why = failure_reason("\n".join(lines))
        raise LaunchError(f"`uv sync` failed with exit code {exit_code}: {why}")
