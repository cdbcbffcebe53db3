"""The lab's set-up command, which prepares the data and names its fingerprint."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from supervisor.errors import LaunchError
from supervisor.lab.paths import Lab
from supervisor.lab.programs import command_argv, lab_python
from supervisor.lab.uv_environment import uv_setup_variables

FINGERPRINT_KEY = "data_fingerprint:"  # the line by which prepare.py names the data
Say = Callable[[str], None]


def set_up(lab: Lab, checkout: Path, say: Say) -> str:
    """Run the lab's set-up command (it prepares the data) in a checkout of the base.

    A set-up that knows of sealed holdouts lays its own down where AUTORESEARCH_HOLDOUT says. Returns the data's
    fingerprint, "" when it names none. Raises LaunchError.
    """
    if not lab.config.lab.setup:
        return ""
    argv = command_argv(lab.config.lab.setup, lab_python(lab))
    fingerprint, last = "", ""
    lab.holdout_dir.mkdir(mode=0o700, exist_ok=True)
    sealed = lab.holdout_dir / "next.bin"
    try:
        process = subprocess.Popen(
            argv,
            cwd=checkout,
            env=os.environ | {"AUTORESEARCH_HOLDOUT": str(sealed)} | uv_setup_variables(lab),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except OSError as error:
        raise LaunchError(f"the set-up command does not start: {error}; see [lab] setup") from error
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            line = line.strip()
            if line.startswith(FINGERPRINT_KEY):
                fingerprint = line.removeprefix(FINGERPRINT_KEY).strip()
            elif line:
                last = line
                say(line)
    if process.returncode:
        raise LaunchError(f"`{' '.join(argv)}` failed with exit code {process.returncode}: {last}")
    if fingerprint and sealed.exists():
        sealed.replace(lab.holdout_dir / f"{fingerprint}.bin")
    return fingerprint
