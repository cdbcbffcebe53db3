"""The programs that a lab starts: the console script, the interpreter that trains, its configured commands."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from supervisor.errors import LabError
from supervisor.lab.paths import Lab

Say = Callable[[str], None]


def agent_argv(lab: Lab, name: str) -> list[str]:
    """The command of an agent's window."""
    return [str(cli_path()), "agent", name, "--lab", str(lab.root), "--state-dir", str(lab.state_dir)]


def supervisor_argv(lab: Lab) -> list[str]:
    """The command that the supervisor's window keeps running."""
    return [str(cli_path()), "supervise", "--lab", str(lab.root), "--state-dir", str(lab.state_dir)]


def command_argv(template: str, python: str) -> tuple[str, ...]:
    """A command of the configuration as an argument vector; no shell ever sees it."""
    return tuple(part.replace("{python}", python) for part in shlex.split(template))


def lab_python(lab: Lab) -> str:
    """The interpreter that trains: the lab's own, else the tool's."""
    if lab.config.lab.python:
        return str(lab.root / lab.config.lab.python)
    folders = (lab.root / ".venv", lab.uv_environment)
    pythons = (folder / "bin" / "python" for folder in folders if folder is not None)
    return next((str(python) for python in pythons if os.access(python, os.X_OK)), sys.executable)


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
