"""The programs that a lab starts: the console script, the interpreter that trains, its configured commands."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sessions.sandbox.filesystem_view import python_homes
from supervisor.errors import LabError
from supervisor.lab.paths import Lab

PYTHON = "{python}"  # in a command: the interpreter of the lab's runs

Say = Callable[[str], None]


def agent_argv(lab: Lab, name: str) -> list[str]:
    """The command of an agent's window."""
    return [str(cli_path()), "agent", name, "--lab", str(lab.root), "--state-dir", str(lab.state_dir)]


def supervisor_argv(lab: Lab) -> list[str]:
    """The command that the supervisor's window keeps running."""
    return [str(cli_path()), "supervise", "--lab", str(lab.root), "--state-dir", str(lab.state_dir)]


def command_argv(template: str, python: str) -> tuple[str, ...]:
    """A command of the configuration as an argument vector; only {python} is replaced, other braces stay."""
    return tuple(_with_python(part, python) for part in shlex.split(template))


def _with_python(part: str, python: str) -> str:
    # A part of several words is a shell's, which would take a path with a space for two.
    return part.replace(PYTHON, shlex.quote(python) if " " in part else python)


def lab_python(lab: Lab) -> str:
    """The interpreter that trains: the lab's own, else what was active at the launch, else the tool's."""
    if lab.config.lab.python:
        return str(lab.root / lab.config.lab.python)
    folders = (lab.root / ".venv", lab.top / ".venv", lab.uv_environment, lab.active_environment)
    pythons = (python_in(folder) for folder in folders if folder is not None)
    return next((str(python) for python in pythons if os.access(python, os.X_OK)), sys.executable)


def python_in(environment: Path) -> Path:
    """The interpreter of a virtual or conda environment."""
    return environment / "bin" / "python"


def python_readable(lab: Lab) -> tuple[Path, ...]:
    """What a confined run has to see of the lab's Python, wherever in a command it stands."""
    config = lab.config
    commands = (config.lab.command, config.lab.smoke, config.checks.command)
    return tuple(python_homes(lab_python(lab))) if any(PYTHON in command for command in commands) else ()


def cli_path() -> Path:
    """The installed console script, absolute: a folder of the same name in a lab can't shadow it. Raises LabError."""
    beside = Path(sys.executable).with_name("autoresearch-tui")
    if beside.exists():
        return beside
    script = shutil.which("autoresearch-tui")
    if script is None:
        raise LabError(
            "the console script autoresearch-tui is not installed; run `make launch` or pip install the tool"
        )
    return Path(script).absolute()


def run_aloud(argv: Sequence[str], cwd: Path, env: Mapping[str, str], say: Say) -> tuple[int, list[str]]:
    """Run a command to its end, telling each line of its output; its exit code and these lines. Raises OSError."""
    lines = []
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in filter(None, map(str.strip, process.stdout)):
            lines.append(line)
            say(line)
    return process.returncode, lines
