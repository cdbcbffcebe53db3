"""What a person sees in an agent's pane: plain lines, and one live line at the bottom."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from supervisor.model.experiment import Run
from supervisor.text import one_line, plain

BAR_CELLS = 24
TYPING_POLL_S = 0.2
TERMINAL = threading.Lock()  # held by whoever reads this process's terminal
_BOLD, _DIM, _GREEN, _RED, _RESET = "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[31m", "\x1b[0m"


@dataclass(slots=True)
class Pane:
    """The agent's own terminal. Everything given to it is data: its control characters are dropped."""

    colour: bool = field(default_factory=lambda: sys.stdout.isatty() and "NO_COLOR" not in os.environ)
    _live: bool = False
    _piece: str = ""  # what was streamed of a line that has no end yet
    _last: str = ""
    _in_answer: bool = False  # between the fences of an answer that is data

    def heading(self, text: str) -> None:
        """A new step."""
        self._end_piece()
        self._in_answer = False
        self._write(f"{self._paint(_BOLD, f'── {one_line(text)} ')}")

    def say(self, text: str) -> None:
        """A line, or several, of thinking. An answer in JSON is left out: what is in it is told in words."""
        for line in plain(text).splitlines():
            if not self._is_answer(line.strip()):
                self._write(f"   {line}")

    def _is_answer(self, line: str) -> bool:
        if self._in_answer:
            self._in_answer = line != "```"
            return True
        self._in_answer = line == "```json"
        return self._in_answer or (line.startswith('{"') and line.endswith("}"))

    def stream(self, text: str) -> None:
        """A piece of a text as it comes; lines are written whole."""
        self._piece += text
        *lines, self._piece = self._piece.split("\n")
        for line in lines:
            self.say(line)

    def tool(self, name: str, detail: str) -> None:
        """A tool that the model called, and on what."""
        self._end_piece()
        self._in_answer = False
        self._write(self._paint(_DIM, f"   › {one_line(name)} {one_line(detail)}".rstrip()))

    def verdict(self, text: str, *, good: bool) -> None:
        """How an experiment ended."""
        self._write(self._paint(_GREEN if good else _BOLD, f"── {one_line(text)}"))

    def diff(self, patch: str, limit: int = 60) -> None:
        """A unified diff, its first lines."""
        lines = plain(patch).splitlines()
        body = [line for line in lines if not line.startswith(("diff ", "index ", "--- ", "+++ "))]
        for line in body[:limit]:
            code = _GREEN if line.startswith("+") else _RED if line.startswith("-") else _DIM
            self._write(f"   {self._paint(code, line)}")
        if len(body) > limit:
            self._write(self._paint(_DIM, f"   … {len(body) - limit} more lines"))

    def live(self, text: str) -> None:
        """Rewrite the line at the bottom; without a terminal it is left out."""
        if not sys.stdout.isatty() or text == self._last:
            return
        width = os.get_terminal_size(sys.stdout.fileno()).columns - 1
        sys.stdout.write(f"\r\x1b[2K{one_line(text)[:width]}")
        sys.stdout.flush()
        self._live, self._last = True, text

    def _write(self, line: str) -> None:
        if self._live:
            sys.stdout.write("\r\x1b[2K")
            self._live, self._last = False, ""
        print(line, flush=True)

    def _end_piece(self) -> None:
        rest, self._piece = self._piece, ""
        if rest.strip():
            self.say(rest)

    def _paint(self, code: str, text: str) -> str:
        return f"{code}{text}{_RESET}" if self.colour else text


def bar(run: Run) -> str:
    """A run's progress on one line."""
    progress = run.progress
    if progress is None:
        return f"{run.id} on {run.device}: starting"
    full = round(BAR_CELLS * progress.fraction)
    cells = "█" * full + "░" * (BAR_CELLS - full)
    loss = f"  loss {progress.loss:.3f}" if progress.loss is not None else ""
    return f"{run.id} {run.device}  {cells} {progress.fraction:4.0%}  {progress.phase}  step {progress.step}{loss}"


def read_typed_lines(deliver: Callable[[str], None]) -> None:
    """Hand every line typed into the pane to `deliver`, from a thread; does nothing without a terminal."""
    if not sys.stdin.isatty():
        return

    def read() -> None:
        while True:
            with TERMINAL:  # not while a shell has it
                ready, _, _ = select.select([sys.stdin], [], [], TYPING_POLL_S)
                typed = os.read(sys.stdin.fileno(), 65536) if ready else None
            if typed == b"":
                return
            for line in (typed or b"").decode(errors="replace").splitlines():
                if line.strip():
                    deliver(line.strip())
            time.sleep(TYPING_POLL_S)

    threading.Thread(target=read, name="typed lines", daemon=True).start()


def stamp() -> str:
    """The time of day, for headings."""
    return time.strftime("%H:%M:%S")
