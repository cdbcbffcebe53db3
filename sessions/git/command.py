"""One call of git, through GitPython's command wrapper, with the settings that keep it out of the way."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sessions.environment import CALLING_GIT
from sessions.errors import GitError, install_line

_SETTINGS = (
    ("gc.auto", "0"),  # a gc of git's own choosing races commits in other worktrees
    ("maintenance.auto", "false"),
    ("core.hooksPath", "/dev/null"),  # the person's hooks are for the person's commits
    ("core.fsmonitor", "false"),
    ("core.quotePath", "false"),
    ("advice.detachedHead", "false"),
)
_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_EDITOR": "true"}


@dataclass(frozen=True, slots=True)
class GitAnswer:
    """What one call of git gave."""

    status: int
    output: bytes
    words: str  # what git said on stderr

    @property
    def text(self) -> str:
        """Its output, undecodable bytes replaced."""
        return self.output.decode("utf-8", "replace")


def run_git(
    path: Path, *arguments: str, env: Mapping[str, str] | None = None, input_text: str | None = None
) -> GitAnswer:
    """Run git in `path`; the status is the caller's to judge. Raises GitError when there is no git."""
    if shutil.which("git") is None:
        raise GitError(["git"], f"fatal: not installed; install it with: {install_line('git')}")
    # Here, not at the top: GitPython takes 0.1 s to import, and refuses to without a git.
    from git.cmd import Git

    command = ["git", *(part for key, value in _SETTINGS for part in ("-c", f"{key}={value}")), *arguments]
    # From our own environment: GitPython can add to what git gets, and take nothing away.
    for name in CALLING_GIT:
        os.environ.pop(name, None)
    if not path.is_dir():
        raise GitError(["git", *arguments], f"fatal: {path} is not a folder")
    with tempfile.TemporaryFile() as standard_input:
        standard_input.write((input_text or "").encode("utf-8", "surrogateescape"))
        standard_input.seek(0)
        status, output, words = Git(path).execute(
            command,
            istream=standard_input,
            env={**_QUIET, **(env or {})},
            with_extended_output=True,
            with_exceptions=False,
            stdout_as_string=False,
            strip_newline_in_stdout=False,
        )
    return GitAnswer(int(status), bytes(output), str(words))


def ask_git(
    path: Path, *arguments: str, env: Mapping[str, str] | None = None, input_text: str | None = None
) -> str:
    """What git prints. Raises GitError when it fails."""
    answer = run_git(path, *arguments, env=env, input_text=input_text)
    if answer.status != 0:
        raise GitError(["git", *arguments], answer.words)
    return answer.text
