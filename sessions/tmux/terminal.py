"""How a person's terminal gets onto the lab's tmux server, to an agent's pane, and back.

The screen is a session `tui-…` of its own, not grouped with the agents'; looking at an agent is a switch of
the terminal's client to `view-tui-…`, a session grouped with theirs, so that viewers don't drag each other.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from sessions.environment import OUTER_TMUX, without
from sessions.errors import TmuxError
from sessions.tmux.server import LAB_SESSION, AgentServer, environment_options, literal

_ENDED_FROM_OUTSIDE = 128 + signal.SIGHUP
# Leaves its exit code and, when it failed, what stood on the screen: the pane is gone by then.
_KEEP_LAST_WORDS = (
    'result=$1; shift; "$@"; code=$?; '
    '[ "$code" = 0 ] || tmux capture-pane -p -S -200 -t "$TMUX_PANE" >"$result/screen"; '
    'echo "$code" >"$result/code"'
)


def socket_name_for(root: Path) -> str:
    """The name of the private socket of the lab at `root`."""
    return "autoresearch-" + hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:12]


class TmuxServer(AgentServer):
    """The lab's tmux server, as the person's terminal sees it."""

    def open_screen(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> int:
        """Run `argv` on the server with this terminal attached to it; returns its exit code when it is over.

        For the main thread. Closing the terminal ends it. What a failing program left on its screen is
        printed on stderr.
        """
        self.ensure_running()
        # A terminal that closes takes us with it, but not before we have cleaned up.
        signal.signal(signal.SIGHUP, lambda *_: sys.exit(_ENDED_FROM_OUTSIDE))
        session = f"tui-{os.getpid()}"
        with tempfile.TemporaryDirectory(prefix="autoresearch-") as result:
            program = shlex.join(["/bin/sh", "-c", _KEEP_LAST_WORDS, "screen", result, *argv])
            try:
                self.command(
                    "new-session", "-d", "-s", session, *_size(), "-c", literal(str(cwd)),
                    *environment_options(env), literal(f"exec {program}"),
                    ";", "set-option", "-t", f"={session}:", "remain-on-exit", "off",
                    ";", "set-option", "-t", f"={session}:", "status", "off",
                )  # fmt: skip
                # The option only once we are attached: tmux would end the still unattached session at once.
                then = (";", "set-option", "destroy-unattached", "on")
                subprocess.run(
                    self.argv("attach-session", "-t", f"={session}", *then),
                    env=without(OUTER_TMUX),
                    check=False,
                )
            finally:
                # Mostly it is gone by now.
                with contextlib.suppress(TmuxError):
                    self.command("kill-session", "-t", f"={session}")
            return _read_result(Path(result))

    def attach(self, name: str) -> int:
        """Show an agent's pane in this terminal until the person goes back; returns tmux's exit code."""
        window = self.pane(name).window_id
        session = f"view-{os.getpid()}"
        client = subprocess.run(
            self.argv(
                "new-session", "-t", LAB_SESSION, "-s", session,
                ";", "set-option", "destroy-unattached", "on",
                ";", "select-window", "-t", f"{session}:{window}",
            ),
            env=without(OUTER_TMUX), check=False,
        )  # fmt: skip
        return client.returncode

    def is_watched(self) -> bool:
        """Whether a person's terminal is on the server, on the screen or on a pane."""
        try:
            return bool(self.command("list-clients", "-F", "#{client_name}"))
        except TmuxError:
            return False

    def show_agent(self, name: str) -> None:
        """Switch the terminal of the screen that this process runs in to an agent's pane.

        C-q or F12 switches it back. Raises TmuxError outside of `open_screen`.
        """
        window = self.pane(name).window_id
        screen, client, sessions = self._surroundings()
        view = f"view-{screen}"
        new = () if view in sessions else ("new-session", "-d", "-t", LAB_SESSION, "-s", view, ";")
        self.command(
            *new, "set-option", "-t", f"={screen}:", "destroy-unattached", "off",
            ";", "set-option", "-t", f"={view}:", "@back", screen,
            ";", "select-window", "-t", f"{view}:{window}",
            ";", "switch-client", "-c", client, "-t", f"={view}",
            ";", "set-option", "-t", f"={view}:", "destroy-unattached", "on",
        )  # fmt: skip

    def _surroundings(self) -> tuple[str, str, set[str]]:
        """The session that this process runs in, the client that looks at it, and all sessions there are."""
        pane = os.environ.get("TMUX_PANE", "")
        socket = os.environ.get("TMUX", "").partition(",")[0]
        if not pane or Path(socket).name != self.socket_name:
            raise TmuxError("this is not a screen on the lab's tmux server; use `autoresearch-tui attach`")
        # One call for all three: a switch should feel like one.
        screen, *lines = self.command(
            "display-message", "-p", "-t", pane, "#{session_name}",
            ";", "list-sessions", "-F", "#{session_name}",
            ";", "list-clients", "-F", "#{client_session}|#{client_activity}|#{client_name}",
        )  # fmt: skip
        clients = [line.split("|", 2) for line in lines if line.startswith(f"{screen}|")]
        if not clients:
            raise TmuxError("no terminal looks at this screen")
        return screen, max(clients)[2], {line for line in lines if "|" not in line}


def _size() -> list[str]:
    try:
        columns, lines = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1)
    except (OSError, ValueError):
        return []
    return ["-x", str(columns), "-y", str(lines)] if columns and lines else []


def _read_result(folder: Path) -> int:
    if (folder / "screen").exists():
        words = (folder / "screen").read_text(encoding="utf-8", errors="replace").rstrip()
        print(words, file=sys.stderr)
    try:
        return int((folder / "code").read_text())
    except (OSError, ValueError):  # it was ended from outside
        return _ENDED_FROM_OUTSIDE
