"""The lab's own checks of an edit: a command of the person's, run on code that an agent wrote."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from sessions.sandbox import wrap
from sessions.training_runs import RunSpec
from supervisor.lab import STATE_FOLDER, Lab
from supervisor.running import command_argv, lab_python, sealed_data, training_env


def failed_check(lab: Lab, worktree: Path) -> str:
    """Why `[checks] command` does not pass in the worktree, in one line; "" when it does or there is none."""
    if not lab.config.checks.command:
        return ""
    timeout_s = lab.config.checks.timeout_s
    with tempfile.TemporaryDirectory() as own:
        argv = command_argv(lab.config.checks.command, lab_python(lab))
        spec = RunSpec(
            run_id="checks",
            directory=Path(own),
            cwd=worktree,
            argv=argv,
            env=training_env(lab, worktree, worktree, "cpu") | {"HOME": own, "TMPDIR": own},
            seed=0,
            budget_s=timeout_s,
            clock="wall",
            device="cpu",
            timeout_s=timeout_s,
            referee=worktree,  # nothing in it may change: what is checked is what is committed
            hidden=(lab.state_dir, lab.root / STATE_FOLDER, sealed_data()),
        )
        try:
            done = subprocess.run(
                wrap(argv, spec),
                cwd=worktree,
                env=spec.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"no end after {timeout_s:g} s"
        except OSError as error:
            return f"they do not start: {error}"
    said = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return (said[-1][:300] if said else f"exit code {done.returncode}") if done.returncode else ""
