"""A program that an agent runs and listens to: its lines as they come, its watchdog, the end of its whole tree."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from sessions.errors import SessionError
from sessions.processes import child_guard
from sessions.processes.lines import Lines
from sessions.processes.marks import MARKER_VARIABLE, end_marked
from sessions.processes.tree import end_tree

LONGEST_LINE = 8 * 2**20  # bytes; what is beyond is dropped, so that no client can fill our memory
_STDERR_LINES = 40
_CHUNK = 2**16
_END_PATIENCE_S = 5.0


class ChildHangs(SessionError):  # noqa: N818
    """It said nothing for too long, or took too long altogether."""


class GuardedChild:
    """One run of a program. Use it as a context: on the way out nothing of it is left, whatever happened.

    `marker` is in its environment and in that of all that it starts; leftovers with it are ended first.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: Path | None,
        marker: str,
        silence_s: float,
        timeout_s: float,
    ) -> None:
        self._argv, self._cwd, self._stdin = argv, cwd, stdin
        self._env = {**env, MARKER_VARIABLE: marker}
        self._marker = marker
        self.silence_s = silence_s  # may be changed while it runs
        self._timeout_s = timeout_s
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1

    @property
    def stderr_tail(self) -> tuple[str, ...]:
        """Its last lines on stderr, oldest first."""
        return tuple(self._stderr)

    @property
    def exit_code(self) -> int | None:
        """As a shell would show it; None while it runs."""
        return None if self._process is None else self._process.poll()

    def __enter__(self) -> Self:
        """Start it. Raises SessionError."""
        end_marked(self._marker)
        theirs, self._lifeline = os.pipe()
        guard = [sys.executable, "-I", "-S", str(Path(child_guard.__file__).resolve()), str(theirs), "--"]
        try:
            with self._stdin.open("rb") if self._stdin else open(os.devnull, "rb") as stdin:  # noqa: PTH123
                self._process = subprocess.Popen(
                    [*guard, *self._argv], cwd=self._cwd, env=self._env, stdin=stdin,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, pass_fds=(theirs,),
                    start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            os.close(self._lifeline)
            raise SessionError(f"{self._argv[0]} cannot be started: {error.strerror or error}") from None
        finally:
            os.close(theirs)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what is left of it."""
        process = self._process
        assert process is not None
        os.close(self._lifeline)  # the guard ends the tree
        try:
            process.wait(_END_PATIENCE_S)
        except subprocess.TimeoutExpired:
            end_tree(process.pid)
            process.wait()
        end_marked(self._marker)  # had it killed its guard
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()

    def lines(self) -> Iterator[str]:
        """Each line of its stdout as it comes, until its end. Raises ChildHangs."""
        process = self._process
        assert process is not None and process.stdout is not None and process.stderr is not None
        started_at = last_output_at = time.monotonic()
        out, err = Lines(LONGEST_LINE), Lines(LONGEST_LINE)
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ, out)
            selector.register(process.stderr, selectors.EVENT_READ, err)
            while selector.get_map():
                now = time.monotonic()
                end_at = started_at + self._timeout_s
                left_s = min(last_output_at + self.silence_s, end_at) - now
                if left_s <= 0:
                    silent = f"said nothing for {self.silence_s:g} s"
                    late = f"was not done after {self._timeout_s:g} s"
                    raise ChildHangs(f"it {silent if now < end_at else late} and was ended")
                for key, _ in selector.select(min(left_s, 1.0)):
                    last_output_at = time.monotonic()
                    chunk = os.read(key.fd, _CHUNK)
                    if not chunk:
                        selector.unregister(key.fileobj)
                    # At its end the last line counts without one.
                    lines = key.data.take(chunk) if chunk else filter(None, [key.data.pending])
                    texts = [line.decode("utf-8", "replace").rstrip("\r") for line in lines]
                    if key.data is err:
                        self._stderr.extend(text for text in texts if text.strip())
                    else:
                        yield from texts
        process.wait()

    def stop(self) -> None:
        """End it now; `lines` then comes to its end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
