"""The virtual or conda environment that the person works in: runs use it where the lab has none of its own.

It is noted at the launch: the supervisor and its successors are started from elsewhere.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sessions.files import write_atomically
from supervisor.lab.paths import Lab
from supervisor.lab.programs import PYTHON, Say, lab_python, python_in

_VARIABLES = (
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
)  # a virtual environment is entered from within conda's, not the reverse


def settle_on_active(lab: Lab, say: Say) -> None:
    """Note the active environment for the runs to come, and say which Python they use where that may surprise."""
    active = active_environment()
    lab.active_pointer.unlink(missing_ok=True)
    if not _uses_python(lab):
        return
    own = lab_python(lab)
    if own == sys.executable and not lab.config.lab.python:
        if active is not None:
            write_atomically(lab.active_pointer, f"{active}\n")
            say(f"note: runs use the Python of your active environment, {active}")
        elif not lab.has_referee:
            say(f"note: runs use this tool's own Python, {own}; [lab] python names another")
    elif active is not None and not _is_in(own, active):
        say(f"note: runs use the lab's Python, {own}; your active environment {active} is not used")


def active_environment() -> Path | None:
    """What is active in this process's environment; the tool's own counts as none."""
    folders = (Path(os.environ[name]) for name in _VARIABLES if os.environ.get(name))
    working = (folder for folder in folders if os.access(python_in(folder), os.X_OK))
    return next((folder for folder in working if folder.resolve() != Path(sys.prefix).resolve()), None)


def _uses_python(lab: Lab) -> bool:
    config = lab.config
    commands = (config.lab.command, config.lab.setup, config.lab.smoke, config.checks.command)
    return any(PYTHON in command for command in commands)


def _is_in(python: str, environment: Path) -> bool:
    # Not resolved: every virtual environment's Python leads to the one that it was made by.
    return Path(python).parent.parent.resolve() == environment.resolve()
