"""The lab's own checks of an edit: a command of the person's, run on code that an agent wrote."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sessions.git.contents import is_lfs_pointer
from sessions.git.repository import Repository
from sessions.runs.failure_reason import failure_reason
from sessions.runs.redaction import Redactor, secrets_in
from sessions.sandbox.filesystem_view import View, programs_on
from sessions.sandbox.run_sandbox import confined_argv, probe
from supervisor.lab.hardware import cores_per_run, thread_variables
from supervisor.lab.ignored_files import dotenv_files, lay_out
from supervisor.lab.paths import Lab, sealed_data
from supervisor.lab.programs import command_argv, lab_python
from supervisor.runs.spec import hidden_from_runs, readable_folders, training_env


def failed_check(lab: Lab, worktree: Path) -> str:
    """Why `[checks] command` does not pass in the worktree, in one line; "" when it does or there is none."""
    if not lab.config.checks.command:
        return ""
    timeout_s = lab.config.checks.timeout_s
    with tempfile.TemporaryDirectory() as own, _to_check(lab, worktree) as checked:
        argv = command_argv(lab.config.checks.command, lab_python(lab))
        env = training_env(lab, checked, checked, "cpu") | {"HOME": own, "TMPDIR": own}
        # Beside the runs that are being measured: it may take no more than one of them does.
        env = thread_variables([0] * (cores_per_run(lab) or 0)) | env
        hidden = tuple(path.resolve() for path in (*hidden_from_runs(lab), sealed_data()))
        view = View(
            (checked / lab.folder).resolve(),
            env,
            readable=(
                checked.resolve(),
                *readable_folders(lab),
                *programs_on(os.environ.get("PATH", ""), hidden),
            ),
            hidden=hidden,
            # Nothing in it may change: what is checked is what is committed.
            bench_is_open=checked != worktree,
            network=lab.config.lab.network,
            serves_itself=not lab.has_referee,
        )
        try:
            process = subprocess.run(
                confined_argv(probe(), argv, view),
                cwd=checked / lab.folder,
                env=env,
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
        if changed := _changed(worktree, checked):
            return f"they changed {changed}: what is checked must be what is committed"
    if not process.returncode:
        return ""
    said = Redactor(secrets_in({}, dotenv_files(lab))).whole(process.stdout)
    return failure_reason(said) or f"exit code {process.returncode}, and they printed nothing"


@contextmanager
def _to_check(lab: Lab, worktree: Path) -> Iterator[Path]:
    """Where the checks run: a lab of another kind may build there, so it gets a copy that is thrown away."""
    if lab.has_referee:
        yield worktree
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / worktree.name
        shutil.copytree(worktree, copy, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        lay_out(lab, Repository(lab.root), copy, Repository(worktree).rev_parse("HEAD"))
        yield copy


def _changed(worktree: Path, checked: Path) -> str:
    """The first file of the worktree that is another one in the copy; new ones are the checks' own."""
    if checked == worktree:
        return ""
    for file in sorted(worktree.rglob("*")):
        path = file.relative_to(worktree)
        if path.parts[0] == ".git" or file.is_symlink() or not file.is_file() or is_lfs_pointer(file):
            continue
        copy = checked / path
        if copy.is_symlink() or not copy.is_file() or not filecmp.cmp(file, copy, shallow=False):
            return str(path)
    return ""
