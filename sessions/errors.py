"""What can go wrong with the machine; every text is one line that says what to do.

ExpectedError
├── LabError               what can go wrong with a lab: see supervisor/errors.py
└── SessionError
    ├── TmuxError
    │   └── TmuxMissing
    ├── GitError
    │   └── NotARepository
    ├── WorktreeError
    ├── DeviceError
    └── RunnerError
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence

# The package managers that are asked in turn; the first one found names the line.
_INSTALL_LINES = {
    "apt-get": "sudo apt-get install -y {package}",
    "dnf": "sudo dnf install -y {package}",
    "pacman": "sudo pacman -S --noconfirm {package}",
    "zypper": "sudo zypper install -y {package}",
    "apk": "sudo apk add {package}",
    "brew": "brew install {package}",
}


class ExpectedError(Exception):
    """What may go wrong when nothing of ours is wrong; the text is one line for the person."""


class SessionError(ExpectedError):
    """The machine refused; the text is one line for the person."""


class TmuxError(SessionError):
    """A tmux command failed."""


class TmuxMissing(TmuxError):  # noqa: N818
    """tmux is not installed, or too old to serve."""

    def __init__(self, problem: str = "tmux is not installed") -> None:
        super().__init__(f"{problem}; install it with: {install_line('tmux')}")


class GitError(SessionError):
    """A git command failed."""

    def __init__(self, command: Sequence[str], words: str) -> None:
        lines = [line.strip() for line in words.splitlines() if line.strip()]
        # git puts its reason last but hints after it; "fatal:" and "error:" are the lines that count.
        reasons = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:]
        # A repository of another user: git's own remedy stands by itself, below its reason.
        reasons += [f"`{line}` allows it" for line in lines if "safe.directory" in line]
        super().__init__(f"{shlex.join(command)}: {'; '.join(reasons[:3]) or 'failed without a word'}")


class NotARepository(GitError):  # noqa: N818
    """The folder does not lie in a git work tree."""

    def __init__(self, path: object) -> None:
        Exception.__init__(
            self, f"{path} is not a git repository; run `git init` there, or `autoresearch-tui init`"
        )


class WorktreeError(SessionError):
    """A worktree could not be made, reset or removed."""


class DeviceError(SessionError):
    """A device was asked for that is not here."""


class RunnerError(SessionError):
    """A runner could not be started or ended."""


def install_line(package: str) -> str:
    """The line that installs `package` on this system."""
    order = ["brew", *_INSTALL_LINES] if sys.platform == "darwin" else list(_INSTALL_LINES)
    manager = next((name for name in order if shutil.which(name)), None)
    if manager is None:
        return f"your system's package manager (package {package!r})"
    return _INSTALL_LINES[manager].format(package=package)
