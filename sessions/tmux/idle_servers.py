"""Servers of labs, of this user on this machine, in which nothing runs any more and that nobody looks at."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from sessions.errors import TmuxError
from sessions.tmux.server import AgentServer
from sessions.tmux.terminal import TmuxServer

_SOCKET = re.compile(r"autoresearch-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class IdleServer:
    """One of them."""

    socket: Path
    root: Path | None  # of its lab, as its session has it; None: the socket of a server that is gone
    memory_bytes: int = 0  # that it holds; 0 without a server


def idle_servers() -> tuple[IdleServer, ...]:
    """Those that could be ended without anybody missing more than what their panes say."""
    folder = Path(os.environ.get("TMUX_TMPDIR") or "/tmp") / f"tmux-{os.getuid()}"
    try:
        sockets = sorted(
            p for p in folder.iterdir() if _SOCKET.fullmatch(p.name) and stat.S_ISSOCK(p.stat().st_mode)
        )
    except OSError:
        return ()
    return tuple(idle for socket in sockets if (idle := _looked_at(socket)))


def _looked_at(socket: Path) -> IdleServer | None:
    server = TmuxServer(socket.name)
    if not server.alive():
        return IdleServer(socket, None)
    try:
        lines = server.command("list-panes", "-a", "-F", "#{pane_dead}|#{pid}|#{session_path}")
    except TmuxError:  # it has no pane at all
        lines = []
    fields = [line.split("|", 2) for line in lines]
    if server.is_watched() or any(dead != "1" for dead, _, _ in fields):
        return None
    pid = int(fields[0][1]) if fields else 0
    return IdleServer(socket, Path(fields[0][2]) if fields else None, _memory_bytes(pid))


def end_idle_server(idle: IdleServer) -> None:
    """End it, and remove its socket. Raises TmuxError, OSError."""
    AgentServer(idle.socket.name).stop()
    idle.socket.unlink(missing_ok=True)


def _memory_bytes(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss) if pid else 0
    except psutil.Error:
        return 0
