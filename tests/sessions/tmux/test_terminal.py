"""The private tmux server: real tmux on a socket of each test's own, a pty as the person's terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions.errors import TmuxError, TmuxMissing
from sessions.tmux.server import check_version
from sessions.tmux.terminal import TmuxServer, socket_name_for
from tests.sessions.conftest import eventually


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TmuxServer]:
    # A short folder of its own for the socket: its path may have a hundred characters, and tmux leaves it.
    with tempfile.TemporaryDirectory(prefix="ar-") as folder:
        monkeypatch.setenv("TMUX_TMPDIR", folder)
        made = TmuxServer(f"autoresearch-test-{uuid.uuid4().hex[:8]}")
        yield made
        monkeypatch.setenv("TMUX_TMPDIR", folder)
        made.stop()


def sh(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def test_server_is_private_and_configured(server: TmuxServer, tmp_path: Path) -> None:
    (Path.home() / ".tmux.conf").write_text("set -g prefix C-a\nset -g history-limit 7\nset -g status off\n")
    assert not server.alive() and server.windows() == {}
    server.ensure_running()
    assert server.alive()
    assert server.command("show-options", "-gv", "prefix") == ["None"]
    server.ensure_window("chief", ["cat"], tmp_path, {})
    assert server.command(
        "display-message", "-p", "-t", server.pane("chief").pane_id, "#{history_limit}"
    ) == ["50000"]
    server.stop()
    assert not server.alive()
    server.stop()


def test_a_window_gets_the_environment_of_now(
    server: TmuxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_FIRST", "1")
    server.ensure_running()
    odd = """it's "quoted" $HOME #{pid}; \\ ü ~"""
    now = {name: value for name, value in os.environ.items() if name != "OF_THE_FIRST"}
    server.renew_environment(now | {"OF_NOW": odd, "TWO_LINES": "a\nb", "TMUX": "another"})
    out = tmp_path / "out"
    script = f"import os; open({str(out)!r}, 'w').write(repr([os.environ.get(n) for n in ('OF_NOW', 'OF_THE_FIRST')]))"
    server.ensure_window("chief", [sys.executable, "-c", script], tmp_path, {})
    eventually(lambda: out.exists() and out.read_text() == repr([odd, None]))


def test_window_is_made_once_and_again_when_it_died(server: TmuxServer, tmp_path: Path) -> None:
    argv = sh('echo "$GREETING in $PWD; $#"; exec cat')
    odd = 'it\'s "quoted" $(touch pwned) ü;'
    pane = server.ensure_window("junior-1", argv, tmp_path, {"GREETING": odd})
    assert server.ensure_window("junior-1", argv, tmp_path, {}) == pane
    eventually(lambda: f"{odd} in {tmp_path}; 0" in server.capture("junior-1").replace("\n", ""))
    assert not (tmp_path / "pwned").exists()
    first = server.windows()["junior-1"]
    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: server.windows()["junior-1"].dead)
    assert odd in server.capture("junior-1", history=9).replace("\n", "")  # its last words stay
    assert server.ensure_window("junior-1", ["sleep", "600"], tmp_path, {}) == pane
    again = server.windows()["junior-1"]
    assert not again.dead and again.pid != first.pid
    server.close_window("junior-1")
    server.close_window("junior-1")
    assert server.windows() == {}


def test_parallel_ensures_make_one_window(server: TmuxServer, tmp_path: Path) -> None:
    server.ensure_running()
    panes: list[str] = []
    threads = [
        threading.Thread(target=lambda: panes.append(server.ensure_window("junior-1", ["cat"], tmp_path, {})))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(panes) == 6 and len(set(panes)) == 1
    assert len(server.command("list-panes", "-a")) == 1


def test_capture_keeps_colours_and_history(server: TmuxServer, tmp_path: Path) -> None:
    server.ensure_window(
        "junior-1", sh("seq 1000; printf '\\033[31mred\\033[0m ü\\n'; exec cat"), tmp_path, {}
    )
    eventually(lambda: "red" in server.capture("junior-1"))
    assert "\x1b[31mred" in server.capture("junior-1") and "ü" in server.capture("junior-1")
    assert "\n500\n" not in server.capture("junior-1")
    assert "\n500\n" in server.capture("junior-1", history=2000)
    assert server.capture("junior-1", lines=2).count("\n") == 1


def test_errors_are_one_line(server: TmuxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TmuxError, match="no window 'junior-9'; there is none"):
        server.capture("junior-9")
    with pytest.raises(TmuxError, match="cannot name a window"):
        server.ensure_window("a b;c", ["cat"], tmp_path, {})
    with pytest.raises(TmuxError, match="not a screen on the lab's tmux server"):
        server.ensure_window("junior-1", ["cat"], tmp_path, {})
        server.show_agent("junior-1")
    server.stop()
    check_version.cache_clear()
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "tmux").write_text("#!/bin/sh\necho tmux 3.1c\n")
    (fake / "tmux").chmod(0o755)
    (fake / "apt-get").write_text("#!/bin/sh\n")
    (fake / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake}:/bin:/usr/bin")
    with pytest.raises(
        TmuxMissing, match=r"tmux 3\.1c is too old, 3\.2 or newer is needed; install it with: "
    ):
        server.ensure_running()
    (fake / "tmux").unlink()
    monkeypatch.setenv("PATH", str(fake))
    with pytest.raises(
        TmuxMissing, match="tmux is not installed; install it with: sudo apt-get install -y tmux"
    ):
        server.ensure_running()
    check_version.cache_clear()
    monkeypatch.undo()


def test_socket_name_depends_on_the_real_path(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "lab")
    assert socket_name_for(tmp_path / "lab") == socket_name_for(tmp_path / "link")
    assert socket_name_for(tmp_path / "lab") != socket_name_for(tmp_path)


class Terminal:
    """A person's terminal: a pty with a process on it, its output kept."""

    def __init__(self, script: str, server: TmuxServer, *arguments: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            command = [sys.executable, "-c", script, server.socket_name, *arguments]
            os.execv(sys.executable, command)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.output = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        try:
            while data := os.read(self.fd, 65536):
                self.output += data
        except OSError:
            pass

    def type(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def shows(self, text: str) -> bool:
        return text.encode() in self.output

    def wait(self) -> int:
        eventually(self._exited)
        self._reader.join(10)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(self._status)

    def _exited(self) -> bool:
        pid, self._status = os.waitpid(self.pid, os.WNOHANG)
        return pid != 0

    def hang_up(self, server: TmuxServer) -> None:
        """What closing a terminal's window does: everything on it is hung up."""
        for client in server.command("list-clients", "-F", "#{client_pid}"):
            os.kill(int(client), signal.SIGHUP)
        os.kill(self.pid, signal.SIGHUP)
        self.wait()


OPEN = """
import sys
from pathlib import Path
from sessions.tmux.terminal import TmuxServer
sys.exit(TmuxServer(sys.argv[1]).open_screen(sys.argv[2:], Path("."), {"SCREEN": "yes"}))
"""
ATTACH = """
import sys
from sessions.tmux.terminal import TmuxServer
sys.exit(TmuxServer(sys.argv[1]).attach(sys.argv[2]))
"""
# A stand-in for the TUI: shows the agent named on each line that it reads, quits on "quit CODE".
SCREEN = """
import sys, tty
from sessions.tmux.terminal import TmuxServer
server = TmuxServer(sys.argv[1])
print("the screen", flush=True)
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    if word == "quit":
        print("last words", flush=True)
        sys.exit(int(rest))
    if word == "show":
        server.show_agent(rest)
    print("did", word, repr(rest), flush=True)
"""


def sessions_of(server: TmuxServer) -> list[str]:
    return sorted(server.command("list-sessions", "-F", "#{session_name} #{session_attached}"))


def client_session(server: TmuxServer) -> str:
    return " ".join(server.command("list-clients", "-F", "#{client_session}"))


@pytest.fixture
def agents(server: TmuxServer, tmp_path: Path) -> TmuxServer:
    for name in ("junior-1", "junior-2"):
        server.ensure_window(name, sh(f"echo I am {name}; exec cat"), tmp_path, {})
    return server


def open_screen(server: TmuxServer) -> Terminal:
    terminal = Terminal(OPEN, server, sys.executable, "-c", SCREEN, server.socket_name)
    eventually(lambda: terminal.shows("the screen"))
    eventually(lambda: client_session(server) == f"tui-{terminal.pid}")
    return terminal


@pytest.mark.parametrize("key", [b"\x11", b"\x1b[24~"], ids=["C-q", "F12"])
def test_to_an_agent_and_back(agents: TmuxServer, key: bytes) -> None:
    terminal = open_screen(agents)
    screen = f"tui-{terminal.pid}"
    for name in ("junior-1", "junior-2", "junior-2"):
        terminal.type(f"show {name}\r".encode())
        eventually(lambda: client_session(agents) == f"view-{screen}")
        eventually(lambda: terminal.shows(f"I am {name}") and terminal.shows("C-q or F12: back"))  # noqa: B023
        terminal.type(key)
        eventually(lambda: client_session(agents) == screen)
    eventually(lambda: sessions_of(agents) == ["lab 0", f"{screen} 1"])
    terminal.type(b"quit 7\r")
    assert terminal.wait() == 7
    assert terminal.shows("last words")
    assert sessions_of(agents) == ["lab 0"]
    assert not agents.windows()["junior-1"].dead


@pytest.mark.parametrize("where", ["screen", "agent"])
def test_a_killed_terminal_takes_the_screen_and_nothing_else(
    agents: TmuxServer, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    terminal = open_screen(agents)
    if where == "agent":
        terminal.type(b"show junior-1\r")
        eventually(lambda: client_session(agents).startswith("view-"))
    pane = agents.command("list-panes", "-t", f"=tui-{terminal.pid}:", "-F", "#{pane_pid}")[0]
    terminal.hang_up(agents)
    eventually(lambda: sessions_of(agents) == ["lab 0"])
    eventually(lambda: not Path(f"/proc/{pane}").exists())
    assert list(tmp_path.glob("autoresearch-*")) == []
    assert set(agents.windows()) == {"junior-1", "junior-2"}


def test_a_screen_that_dies_behind_an_agent_lets_its_terminal_go(agents: TmuxServer) -> None:
    terminal = open_screen(agents)
    terminal.type(b"show junior-1\r")
    eventually(lambda: client_session(agents).startswith("view-"))
    os.kill(
        int(agents.command("list-panes", "-t", f"=tui-{terminal.pid}:", "-F", "#{pane_pid}")[0]),
        signal.SIGKILL,
    )
    assert terminal.wait() == 129
    assert sessions_of(agents) == ["lab 0"]
    # tmux shows what went wrong in its hooks to the next one who attaches.
    later = Terminal(ATTACH, agents, "junior-1")
    eventually(lambda: later.shows("I am junior-1"))
    assert agents.command(
        "display-message", "-p", "-t", agents.pane("junior-1").pane_id, "#{pane_in_mode}"
    ) == ["0"]
    later.type(b"\x11")
    assert later.wait() == 0


def test_plain_attach_returns_and_viewers_do_not_drag_each_other(agents: TmuxServer) -> None:
    first, second = Terminal(ATTACH, agents, "junior-1"), Terminal(ATTACH, agents, "junior-2")
    eventually(lambda: first.shows("I am junior-1") and second.shows("I am junior-2"))
    assert not first.shows("I am junior-2") and not second.shows("I am junior-1")
    first.type(b"\x1b[24~")
    assert first.wait() == 0
    second.type(b"\x11")
    assert second.wait() == 0
    eventually(lambda: sessions_of(agents) == ["lab 0"])


def test_keys_reach_the_screen_itself(agents: TmuxServer) -> None:
    terminal = open_screen(agents)
    terminal.type(b"hello \x1b[24~\r")  # F12 in the screen is the screen's own
    eventually(lambda: terminal.shows("did hello '\\x1b[24~'"))
    terminal.type(b"quit 0\r")
    assert terminal.wait() == 0


def test_nests_inside_the_persons_own_tmux(agents: TmuxServer, tmp_path: Path) -> None:
    outer = f"outer-{uuid.uuid4().hex[:8]}"
    tmux = [shutil.which("tmux") or "tmux", "-L", outer, "-f", "/dev/null"]
    command = [sys.executable, "-c", ATTACH, agents.socket_name, "junior-1"]
    try:
        subprocess.run([*tmux, "new-session", "-d", "-x", "90", "-y", "20", "--", *command], check=True)
        shown = lambda: subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True).stdout  # noqa: E731
        eventually(lambda: "I am junior-1" in shown() and "C-q or F12: back" in shown())
        subprocess.run([*tmux, "send-keys", "C-q"], check=True)
        eventually(lambda: sessions_of(agents) == ["lab 0"])
    finally:
        subprocess.run([*tmux, "kill-server"], capture_output=True)
