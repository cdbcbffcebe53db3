"""The lab's private tmux server: one window per agent, which survives whoever looks at it.

Ours by socket name and configuration; the person's own tmux is never touched. Panes are addressed by
`%id` and found by the option `@agent` that each carries.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sessions.errors import TmuxError, TmuxMissing
from sessions.locks import FOR_EVER, held

if TYPE_CHECKING:
    from libtmux.common import tmux_cmd

LAB_SESSION = "lab"
_CONFIGURATION = Path(__file__).with_name("tmux.conf")
_OLDEST = (3, 2)  # new-window -e, run-shell -C, pane options in formats
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PASTE_SETTLES_S = 0.5  # a program takes an Enter that comes with the paste as part of it
_PANE_FORMAT = "#{pane_id}|#{pane_dead}|#{pane_pid}|#{window_id}|#{@agent}"


@dataclass(frozen=True, slots=True)
class PaneState:
    """An agent's pane as tmux sees it. Deaths are a hint: the exit status may come late or never."""

    pane_id: str  # "%3"
    dead: bool
    pid: int
    window_id: str = ""  # "@3"


class AgentServer:
    """The server behind one socket name. Methods raise TmuxError, with tmux's own words, when it fails."""

    def __init__(self, socket_name: str) -> None:
        self.socket_name = socket_name

    # The server

    def alive(self) -> bool:
        """Whether the server runs."""
        return self._run("list-sessions")[0]

    def ensure_running(self) -> None:
        """Start the server if it does not run, out of reach of the login's end. Raises TmuxMissing."""
        check_version()
        if self.alive():
            return
        command = [*_scope(), *self._argv("start-server")]
        done = subprocess.run(
            command, env=outside_tmux(), stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/"
        )
        if done.returncode != 0 or not self.alive():
            raise TmuxError(f"tmux start-server: {_first_line(done.stderr) or 'the server is gone at once'}")

    def stop(self) -> None:
        """End the server and every pane in it; none there is no error."""
        if self.alive():
            self.command("kill-server")

    # Agents' windows

    def ensure_window(self, name: str, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> str:
        """Have a window in which `argv` runs, anew when it has died; returns the pane's id."""
        if not _NAME.fullmatch(name):
            raise TmuxError(f"{name!r} cannot name a window; use letters, digits, - and _")
        self.ensure_running()
        with self._locked():
            pane = self.windows().get(name)
            if pane is not None and not pane.dead:
                return pane.pane_id
            start = ["-c", literal(str(cwd)), *environment_options(env)]
            program = literal(f"exec {shlex.join(argv)}")
            if pane is not None:
                self.command("respawn-pane", "-k", "-t", pane.pane_id, *start, program)
                return pane.pane_id
            place = ["new-window", "-d", "-t", f"={LAB_SESSION}:"]
            if not self.has_session(LAB_SESSION):
                place = ["new-session", "-d", "-s", LAB_SESSION]
            made = self.command(*place, "-P", "-F", "#{pane_id}", "-n", name, *start, program)[0]
            self.command("set-option", "-p", "-t", made, "@agent", name)
            return made

    def windows(self) -> dict[str, PaneState]:
        """The agents' panes by agent; empty when there is no server."""
        running, lines = self._run("list-panes", "-s", "-t", f"={LAB_SESSION}", "-F", _PANE_FORMAT)
        found = {}
        for line in lines if running else ():
            pane_id, dead, pid, window_id, name = line.split("|", 4)
            if name:
                found[name] = PaneState(pane_id, dead == "1", int(pid or 0), window_id)
        return found

    def respawn(self, name: str) -> None:
        """Start the window's own command afresh, ending what still runs in it."""
        self.command("respawn-pane", "-k", "-t", self.pane(name).pane_id)

    def close_window(self, name: str) -> None:
        """Close the window and end what runs in it; none there is no error."""
        pane = self.windows().get(name)
        if pane is not None:
            self.command("kill-pane", "-t", pane.pane_id)

    def capture(self, name: str, lines: int | None = None, history: int = 0) -> str:
        """The visible pane with its colours as ANSI escapes, after `history` lines of scrollback.

        `lines` keeps only that many at the end, trailing blank ones left out.
        """
        start = ("-S", str(-history)) if history else ()
        found = self.command("capture-pane", "-p", "-e", *start, "-t", self.pane(name).pane_id)
        return "\n".join(found[-lines:] if lines else found)

    def send_text(self, name: str, text: str) -> None:
        """Type `text` into the window as one paste, then Enter; takes half a second."""
        pane, buffer = self.pane(name).pane_id, f"to-{name}-{os.getpid()}"
        # Without control characters: an escape could end the paste and become a key.
        plain = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
        done = subprocess.run(
            self._argv("load-buffer", "-b", buffer, "-"), input=plain, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise TmuxError(f"tmux load-buffer: {_first_line(done.stderr)}")
        self.command("paste-buffer", "-p", "-d", "-b", buffer, "-t", pane)
        time.sleep(_PASTE_SETTLES_S)
        self.command("send-keys", "-t", pane, "Enter")

    # What other modules of `sessions` build on

    def command(self, *arguments: str) -> list[str]:
        """The lines that one tmux command prints. Raises TmuxError."""
        done, lines = self._run(*arguments)
        if not done:
            raise TmuxError(f"tmux {arguments[0]}: {lines[0] if lines else 'failed without a word'}")
        return lines

    def has_session(self, session: str) -> bool:
        """Whether there is a session of exactly this name."""
        return self._run("has-session", "-t", f"={session}")[0]

    def forget_session(self, session: str) -> None:
        """End a session of ours, if it is still there."""
        self._run("kill-session", "-t", f"={session}")

    def attach_argv(self, *arguments: str) -> list[str]:
        """The command that puts the terminal it runs in on this server, with the colours that it has."""
        colours = ["-T", "256,RGB"] if os.environ.get("COLORTERM") in ("truecolor", "24bit") else []
        return [_tmux(), "-u", *colours, *self._argv(*arguments)[2:]]

    def pane(self, name: str) -> PaneState:
        """The pane of an agent. Raises TmuxError, naming those there are."""
        windows = self.windows()
        if name not in windows:
            there = f"there is {', '.join(sorted(windows))}" if windows else "there is none"
            raise TmuxError(f"there is no window {name!r}; {there}")
        return windows[name]

    def _argv(self, *arguments: str) -> list[str]:
        # -u: without a UTF-8 locale tmux would print every other character as an underscore.
        return [_tmux(), "-u", "-L", self.socket_name, "-f", str(_CONFIGURATION), *arguments]

    def _run(self, *arguments: str) -> tuple[bool, list[str]]:
        """Whether the command worked, and what it printed, or the words of its failure."""
        run, missing = _libtmux()
        try:
            done = run(*self._argv(*arguments)[1:])
        except missing:
            raise TmuxMissing from None
        return done.returncode == 0, done.stdout if done.returncode == 0 else done.stderr

    def _locked(self) -> AbstractContextManager[bool]:
        # Two processes that both find no window would both make one.
        socket_path = self.command("display-message", "-p", "#{socket_path}")[0]
        return held(Path(f"{socket_path}.lock"), FOR_EVER)


@functools.cache
def _libtmux() -> tuple[type[tmux_cmd], type[Exception]]:
    """Its command and its word for a missing tmux; imported here: 0.1 s, and the runner's side never needs it."""
    # As it is imported it asks sys.stdout for an encoding, which what a screen puts there does not have.
    with contextlib.redirect_stdout(sys.__stdout__):
        from libtmux.common import tmux_cmd
        from libtmux.exc import TmuxCommandNotFound
    return tmux_cmd, TmuxCommandNotFound


@functools.cache
def check_version() -> tuple[int, int]:
    """The version of tmux here. Raises TmuxMissing when there is none or it is too old."""
    words = subprocess.run([_tmux(), "-V"], capture_output=True, text=True).stdout.strip()
    found = re.search(r"(\d+)\.(\d+)", words)
    version = (int(found[1]), int(found[2])) if found else _OLDEST  # "tmux master" is new enough
    if version < _OLDEST:
        raise TmuxMissing(f"{words} is too old, {_OLDEST[0]}.{_OLDEST[1]} or newer is needed")
    return version


@functools.cache
def _scope() -> tuple[str, ...]:
    """What starts a command in a systemd scope of its own, which survives the SSH login; () without one."""
    if shutil.which("systemd-run") is None:
        return ()
    scope = ("systemd-run", "--user", "--scope", "--quiet", "--collect", "--")
    try:
        probe = subprocess.run([*scope, "true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=3)
    except subprocess.TimeoutExpired:
        return ()
    return scope if probe.returncode == 0 else ()


def _tmux() -> str:
    found = shutil.which("tmux")
    if found is None:
        raise TmuxMissing
    return found


def outside_tmux() -> dict[str, str]:
    """Our environment without any tmux around us, so that ours starts, or nests, freely."""
    return {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}


def environment_options(env: Mapping[str, str]) -> list[str]:
    """The options that give a new pane these variables."""
    return [part for name, value in env.items() for part in ("-e", literal(f"{name}={value}"))]


def literal(argument: str) -> str:
    """An argument that tmux takes as it is: a semicolon at its end would begin another command."""
    return f"{argument[:-1]}\\;" if argument.endswith(";") else argument


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
