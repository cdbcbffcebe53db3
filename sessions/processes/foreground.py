"""A program that is given this process's terminal: a client's own interface, or a person's shell.

It runs in a process group of its own, so that its Ctrl-C and Ctrl-Z are its own; its whole tree ends with it, and it
ends with us.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

from sessions.errors import SessionError
from sessions.processes.tree import become_subreaper, die_with_parent, end_tree

_GRACE_S = 3.0
_SANE = b"\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[0m\r\n"


class Foreground:
    """One such program. Start, poll and end it from the main thread: the kernel ends it with the thread that forked."""

    def __init__(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
        """Start it. Raises SessionError when it cannot be."""
        become_subreaper()
        self._terminal = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._modes = termios.tcgetattr(self._terminal) if self._terminal is not None else None
        self._ended_with: int | None = None
        ours, terminal = os.getpid(), self._terminal

        def prepare() -> None:
            os.setpgid(0, 0)
            if terminal is not None:
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
                os.tcsetpgrp(terminal, os.getpid())
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTTOU})
            die_with_parent(ours)

        try:
            process = subprocess.Popen(argv, cwd=cwd, env=dict(env), preexec_fn=prepare)
        except (OSError, subprocess.SubprocessError) as error:
            self._take_back()
            raise SessionError(f"{argv[0]} does not start: {error}") from error
        process.returncode = 0  # we wait for it ourselves: a stopped one must be seen
        self.pid = process.pid

    def poll(self) -> int | None:
        """Its exit code (negative: the signal) once it has ended, None before. One that was stopped is sent on."""
        if self._ended_with is not None:
            return self._ended_with
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
        except ChildProcessError:
            pid, status = self.pid, 0
        if pid == 0:
            return None
        if os.WIFSTOPPED(status):  # Ctrl-Z: there is no shell behind it that could bring it back
            os.killpg(self.pid, signal.SIGCONT)
            return None
        self._ended_with = os.waitstatus_to_exitcode(status)
        self._clear_up()
        return self._ended_with

    def end(self) -> None:
        """End it with everything it started, if it still runs, and take the terminal back."""
        if self._ended_with is None:
            end_tree(self.pid, _GRACE_S)
            while self.poll() is None:
                signal.sigtimedwait({signal.SIGCHLD}, 0.02)

    def _clear_up(self) -> None:
        # What it left behind is below us now: this process has no other children.
        end_tree(os.getpid(), 0.5, including_itself=False)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        self._take_back()

    def _take_back(self) -> None:
        if self._terminal is None or self._modes is None:
            return
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            os.tcsetpgrp(self._terminal, os.getpgrp())
            termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._modes)
            os.write(sys.stdout.fileno(), _SANE)  # a client that was killed leaves its screen and mouse on
        except (OSError, termios.error):
            pass  # the terminal is gone; so are we, soon
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTTOU})
