"""A launcher between an agent and a client that it started: whatever ends, the client's whole tree ends.

Run by its path with `python -I -S`: `child_guard.py LIFELINE -- COMMAND`; it imports nothing of ours. LIFELINE is
the read end of a pipe whose other end the agent holds: it closes when the agent goes, even by SIGKILL. Exits with
the command's code, 128 + the signal that ended it, or 143 when the tree was ended from outside.
"""

import ctypes
import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
GRACE_S = 1.0
LINUX = sys.platform == "linux"


def control(option: int, value: int) -> None:
    """One prctl, where there is one."""
    if LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def start(command: list[str], lifeline: int) -> int:
    """The command in a session of its own, to be killed when this process goes."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        os.close(lifeline)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        control(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]} cannot be started: {error}\n".encode())
    os._exit(127)


def below(pid: int) -> list[int]:
    """Every process below `pid`; what left its parents has been adopted by this one."""
    pids: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        try:
            tasks = os.listdir(f"/proc/{parent}/task")  # noqa: PTH208
        except OSError:
            continue
        for task in tasks:
            try:
                with open(f"/proc/{parent}/task/{task}/children", encoding="ascii") as file:  # noqa: PTH123
                    children = [int(child) for child in file.read().split()]
            except OSError:
                continue
            pids += children
            waiting += children
    return pids


def reap(statuses: dict[int, int]) -> bool:
    """Note every child that ended; False when there is none left."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
        statuses[pid] = status


def end_all(child: int, statuses: dict[int, int]) -> None:
    """TERM, and after a moment KILL, until nothing is left below."""
    number, kill_at = signal.SIGTERM, time.monotonic() + GRACE_S
    signalled: set[int] = set()
    while reap(statuses):
        if time.monotonic() > kill_at:
            number = signal.SIGKILL
        if (not LINUX and number == signal.SIGKILL) or child not in signalled:
            send(os.killpg, child, number)
        for pid in below(os.getpid()):
            if pid not in signalled or number == signal.SIGKILL:
                send(os.kill, pid, number)
                signalled.add(pid)
        signalled.add(child)
        time.sleep(0.01)


def send(how: object, pid: int, number: int) -> None:
    """A signal to what may be gone."""
    try:
        how(pid, number)  # type: ignore[operator]
    except (ProcessLookupError, PermissionError):
        return


def main() -> None:
    """Start, wait for the command's end or the agent's, leave nothing behind."""
    lifeline, command = int(sys.argv[1]), sys.argv[3:]
    control(PR_SET_CHILD_SUBREAPER, 1)
    signals: list[int] = []
    wakeup, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _: signals.append(received))
    child = start(command, lifeline)
    statuses: dict[int, int] = {}
    while reap(statuses) and child not in statuses and not signals:
        ready, _, _ = select.select([lifeline, wakeup], [], [])
        if lifeline in ready:  # nothing is ever written: the other end closed
            break
        os.read(wakeup, 4096)
    ended_itself = child in statuses
    end_all(child, statuses)
    code = os.waitstatus_to_exitcode(statuses.get(child, 0))
    sys.exit((code if code >= 0 else 128 - code) if ended_itself else 143)


if __name__ == "__main__":
    main()
