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
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sessions.environment import OUTER_TMUX, without
from sessions.errors import TmuxError, TmuxMissing
from sessions.locks import FOR_EVER, held

if TYPE_CHECKING:
    from libtmux import Pane

    from sessions.tmux.connection import Connection

LAB_SESSION = "lab"
_CONFIGURATION = Path(__file__).with_name("tmux.conf")
_OLDEST = (3, 2)  # new-window -e, run-shell -C, pane options in formats
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_]\w*=")
# What a terminal says of itself, and a shell of where it stands.
_PANES_OWN = frozenset(
    {
        *OUTER_TMUX,
        "TERM",
        "TERM_PROGRAM",
        "TERM_PROGRAM_VERSION",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
        "LINES",
        "COLUMNS",
    }
)
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
        return self._connection.is_alive()

    def ensure_running(self) -> None:
        """Start the server if it does not run, out of reach of the login's end. Raises TmuxMissing."""
        check_version()
        if self.alive():
            return
        command = [*_scope(), *self.argv("start-server")]
        start = subprocess.run(
            command,
            env=without(OUTER_TMUX),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd="/",
        )
        if start.returncode != 0 or not self.alive():
            reason = start.stderr.strip().partition("\n")[0]
            raise TmuxError(f"tmux start-server: {reason or 'the server is gone at once'}")

    def renew_environment(self, environment: Mapping[str, str]) -> None:
        """Have windows that are made from now on get these variables, not those that the server was started with."""
        shown = self.command("show-environment", "-g")
        before = dict(line.split("=", 1) for line in shown if _VARIABLE.match(line))
        wanted = {name: value for name, value in environment.items() if "\n" not in value}
        lines = [f"set-environment -gu {name}" for name in before.keys() - environment.keys() - _PANES_OWN]
        lines += [
            f"set-environment -g {name} {_quoted(value)}"
            for name, value in wanted.items()
            if name not in _PANES_OWN and _VARIABLE.match(f"{name}=") and before.get(name) != value
        ]
        if not lines:
            return
        # From a file that only we can read: a command line could be read by everybody, with the keys in it.
        with tempfile.NamedTemporaryFile(
            "w", prefix="autoresearch-", suffix=".conf", encoding="utf-8"
        ) as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            self.command("source-file", file.name)

    def stop(self) -> None:
        """End the server and every pane in it; none there is no error."""
        if not self.alive():
            return
        try:
            socket = Path(self.command("display-message", "-p", "#{socket_path}")[0])
            self.command("kill-server")
        except TmuxError:
            if self.alive():  # else it went by itself meanwhile, as that of an ended lab does
                raise
        else:
            socket.unlink(missing_ok=True)  # tmux leaves it

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
            start = ["-c", literal(str(cwd)), *environment_options(env), literal(f"exec {shlex.join(argv)}")]
            if pane is not None:
                self._pane(pane.pane_id).cmd("respawn-pane", "-k", *start)
                return pane.pane_id
            place = ["new-window", "-d", "-t", f"={LAB_SESSION}:"]
            if not self._has_session(LAB_SESSION):
                place = ["new-session", "-d", "-s", LAB_SESSION]
            pane_id = self.command(*place, "-P", "-F", "#{pane_id}", "-n", name, *start)[0]
            self._pane(pane_id).set_option("@agent", name)
            return pane_id

    def windows(self) -> dict[str, PaneState]:
        """The agents' panes by agent; empty when there is no server."""
        try:
            # Five fields, in the one call: libtmux's own lists ask for all that there are, at three times the cost.
            lines = self.command("list-panes", "-s", "-t", f"={LAB_SESSION}", "-F", _PANE_FORMAT)
        except TmuxMissing:
            raise
        except TmuxError:
            return {}
        panes = {}
        for line in lines:
            pane_id, dead, pid, window_id, name = line.split("|", 4)
            if name:
                panes[name] = PaneState(pane_id, dead == "1", int(pid or 0), window_id)
        return panes

    def close_window(self, name: str) -> None:
        """Close the window and end what runs in it; none there is no error."""
        pane = self.windows().get(name)
        if pane is not None:
            self._pane(pane.pane_id).kill()

    def capture(self, name: str, lines: int | None = None, history: int = 0) -> str:
        """The visible pane with its colours as ANSI escapes, after `history` lines of scrollback.

        `lines` keeps only that many at the end, trailing blank ones left out.
        """
        pane = self._pane(self.pane(name).pane_id)
        screen = pane.capture_pane(start=-history or None, escape_sequences=True)
        return "\n".join(screen[-lines:] if lines else screen)

    # What the person's terminal builds on

    def command(self, *arguments: str) -> list[str]:
        """The lines that one tmux command prints. Raises TmuxError."""
        return self._connection.cmd(*arguments).stdout

    def argv(self, *arguments: str) -> list[str]:
        """A tmux command to be run as a process: one that takes a terminal, with the colours that this one has."""
        colours = ["-T", "256,RGB"] if os.environ.get("COLORTERM") in ("truecolor", "24bit") else []
        return [_tmux(), "-u", *colours, "-L", self.socket_name, "-f", str(_CONFIGURATION), *arguments]

    def pane(self, name: str) -> PaneState:
        """The pane of an agent. Raises TmuxError, naming those there are."""
        windows = self.windows()
        if name not in windows:
            there = f"there is {', '.join(sorted(windows))}" if windows else "there is none"
            raise TmuxError(f"there is no window {name!r}; {there}")
        return windows[name]

    def _has_session(self, session: str) -> bool:
        try:
            self.command("has-session", "-t", f"={session}")
        except TmuxError:
            return False
        return True

    @functools.cached_property
    def _connection(self) -> Connection:
        # Here, not at the top: libtmux takes 0.1 s to import. As it is imported it asks sys.stdout for an encoding,
        # which what a screen puts there does not have.
        with contextlib.redirect_stdout(sys.__stdout__):
            from sessions.tmux.connection import Connection
        return Connection(self.socket_name, config_file=str(_CONFIGURATION))

    def _pane(self, pane_id: str) -> Pane:
        from libtmux import Pane

        return Pane(server=self._connection, pane_id=pane_id)

    def _locked(self) -> AbstractContextManager[bool]:
        # Two processes that both find no window would both make one.
        socket_path = self.command("display-message", "-p", "#{socket_path}")[0]
        return held(Path(f"{socket_path}.lock"), FOR_EVER)


@functools.cache
def check_version() -> None:
    """Raises TmuxMissing when there is no tmux here, or one that is too old."""
    words = subprocess.run([_tmux(), "-V"], capture_output=True, text=True).stdout.strip()
    numbers = re.search(r"(\d+)\.(\d+)", words)
    # "tmux master" is new enough.
    if numbers and (int(numbers[1]), int(numbers[2])) < _OLDEST:
        raise TmuxMissing(f"{words} is too old, {_OLDEST[0]}.{_OLDEST[1]} or newer is needed")


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
    program = shutil.which("tmux")
    if program is None:
        raise TmuxMissing
    return program


def environment_options(env: Mapping[str, str]) -> list[str]:
    """The options that give a new pane these variables."""
    return [part for name, value in env.items() for part in ("-e", literal(f"{name}={value}"))]


def _quoted(value: str) -> str:
    """A value as tmux's configuration reads it back: nothing is special between single quotes."""
    return "'" + value.replace("'", "'\"'\"'") + "'"


def literal(argument: str) -> str:
    """An argument that tmux takes as it is: a semicolon at its end would begin another command."""
    return f"{argument[:-1]}\\;" if argument.endswith(";") else argument
