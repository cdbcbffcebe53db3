"""The lab's set-up command, which prepares the data and names its fingerprint."""

from __future__ import annotations

import os
from pathlib import Path

from sessions.runs.failure_reason import failure_reason
from supervisor.errors import LaunchError
from supervisor.lab.paths import Lab
from supervisor.lab.programs import Say, command_argv, lab_python, run_aloud
from supervisor.lab.uv_environment import uv_setup_variables

FINGERPRINT_KEY = "data_fingerprint:"  # the line by which prepare.py names the data


def set_up(lab: Lab, checkout: Path, say: Say) -> str:
    """Run the lab's set-up command (it prepares the data) in a checkout of the base.

    A set-up that knows of sealed holdouts lays its own down where AUTORESEARCH_HOLDOUT says. Returns the data's
    fingerprint, "" when it names none. Raises LaunchError.
    """
    if not lab.config.lab.setup:
        return ""
    argv = command_argv(lab.config.lab.setup, lab_python(lab))
    lab.holdout_dir.mkdir(mode=0o700, exist_ok=True)
    sealed = lab.holdout_dir / "next.bin"
    env = os.environ | {"AUTORESEARCH_HOLDOUT": str(sealed)} | uv_setup_variables(lab)
    fingerprint = ""

    def say_or_keep(line: str) -> None:
        nonlocal fingerprint
        if line.startswith(FINGERPRINT_KEY):
            fingerprint = line.removeprefix(FINGERPRINT_KEY).strip()
        else:
            say(line)

    try:
        exit_code, lines = run_aloud(argv, checkout / lab.folder, env, say_or_keep)
    except OSError as error:
        raise LaunchError(f"the set-up command does not start: {error}; see [lab] setup") from error
    if exit_code:
        words = [line for line in lines if not line.startswith(FINGERPRINT_KEY)]
        why = failure_reason("\n".join(words))
        raise LaunchError(f"`{' '.join(argv)}` failed with exit code {exit_code}: {why}")
    if fingerprint and sealed.exists():
        sealed.replace(lab.holdout_dir / f"{fingerprint}.bin")
    return fingerprint
