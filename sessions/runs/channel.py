"""The runner's end of the socket pair to the referee: the assignment out, events in, each stamped here."""

from __future__ import annotations

import json
import math
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sessions.processes.lines import Lines
from sessions.runs.contract import RunPhase, RunProgress, RunSpec
from sessions.runs.metric_formats import number_of

_LONGEST_LINE = 65536
_MOST_STAMPS = 64  # warming up again and again must not grow us
_PHASES = {
    phase.value: phase
    for phase in (RunPhase.STARTING, RunPhase.WARM_UP, RunPhase.TRAINING, RunPhase.EVALUATING)
}
_BEFORE_THE_CLOCK = (RunPhase.STARTING, RunPhase.WARM_UP)


@dataclass(frozen=True, slots=True)
class PhaseStamp:
    """When a phase began, on the runner's own clocks."""

    phase: RunPhase
    wall_s: float  # monotonic
    cpu_s: float  # of the process tree so far


@dataclass(frozen=True, slots=True)
class TimeSpent:
    """Seconds by the runner's own clocks."""

    wall_s: float
    cpu_s: float  # of the process tree

    def on(self, clock: str) -> float:
        """Seconds of the budget's clock."""
        return self.cpu_s if clock == "cpu" else self.wall_s


@dataclass(slots=True)
class RefereeEvents:
    """Everything the referee said that counts."""

    stamps: list[PhaseStamp] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)  # the first, and one that differs from it
    rejected: str | None = None
    crashed: str | None = None
    progress: RunProgress | None = None
    counts: dict[str, Any] = field(default_factory=dict)  # of the "evaluating" event
    holdout: PhaseStamp | None = None  # when it asked for the sealed holdout
    reported: PhaseStamp | None = None  # when its first report came
    steps_fell: bool = False  # between two words of progress

    @property
    def phase(self) -> RunPhase:
        """The phase that the run is in."""
        return self.stamps[-1].phase if self.stamps else RunPhase.STARTING

    def time_in(self, phase: RunPhase, until: PhaseStamp) -> TimeSpent:
        """What the run spent in a phase, over all the times that it was in it."""
        wall_s = cpu_s = 0.0
        for begin, end in zip(self.stamps, [*self.stamps[1:], until], strict=True):
            if begin.phase is phase:
                wall_s += end.wall_s - begin.wall_s
                cpu_s += end.cpu_s - begin.cpu_s
        return TimeSpent(wall_s, cpu_s)

    def stamp(self, phase: RunPhase) -> PhaseStamp | None:
        """The first stamp of a phase; a second one cannot move the clock."""
        return next((stamp for stamp in self.stamps if stamp.phase is phase), None)


class RunChannel:
    """Reads events until the trainer closes its end. The other side is code under test: trust nothing."""

    def __init__(self, ours: socket.socket) -> None:
        ours.setblocking(False)
        self.socket = ours
        self.events = RefereeEvents()
        self._lines = Lines(_LONGEST_LINE)
        self._holdout: Path | None = None
        self.outgoing = memoryview(b"")  # what waits to be sent

    def assign(self, spec: RunSpec, smoke: bool) -> None:
        """Tell the referee what to run; fits the socket's buffer, so it never blocks."""
        self._holdout = None if smoke else spec.holdout
        assignment: dict[str, Any] = {
            "seed": spec.seed,
            "budget_s": spec.budget_s,
            "clock": spec.clock,
            "device": _device_inside(spec),
            "smoke": smoke,
        }
        if self._holdout is not None:
            assignment["holdout"] = True
        self.socket.sendall(json.dumps(assignment).encode() + b"\n")

    def read(self, cpu_s: float) -> bool:
        """Take in what has arrived, stamped now; False once the other end is closed."""
        try:
            data = self.socket.recv(_LONGEST_LINE)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        for line in self._lines.take(data):
            if len(line) <= _LONGEST_LINE:
                self._take(line, cpu_s)
        return True

    def write(self) -> None:
        """Send on as much as the other end takes now."""
        try:
            self.outgoing = self.outgoing[self.socket.send(self.outgoing) :]
        except BlockingIOError:
            return
        except OSError:  # it closed its end
            self.outgoing = memoryview(b"")

    def _take(self, line: bytes, cpu_s: float) -> None:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(event, dict):
            return
        events = self.events
        match event.get("event"):
            case "phase":
                self._enter(event, cpu_s)
            case "progress":
                self._go_on(event)
            case "report":
                events.reported = events.reported or PhaseStamp(events.phase, time.monotonic(), cpu_s)
                if not events.reports or (len(events.reports) == 1 and event != events.reports[0]):
                    events.reports.append(event)
            case "rejected" if events.rejected is None:
                events.rejected = _one_line(event.get("reason"), "the referee gave no reason")
            case "crash" if events.crashed is None:
                events.crashed = _one_line(event.get("reason"), "the referee gave no reason")

    def _enter(self, event: dict[str, Any], cpu_s: float) -> None:
        events = self.events
        if event.get("phase") == "holdout":
            self._open_holdout(cpu_s)
        phase = _PHASES.get(str(event.get("phase")))
        # Only warming up may come and go, and only before the clock; a second stamp moves nothing.
        before_the_clock = events.phase in _BEFORE_THE_CLOCK and len(events.stamps) < _MOST_STAMPS
        again = phase in _BEFORE_THE_CLOCK and before_the_clock
        if phase is None or phase is events.phase or (events.stamp(phase) and not again):
            return
        if phase is not RunPhase.EVALUATING and events.phase is RunPhase.EVALUATING:
            return
        events.stamps.append(PhaseStamp(phase, time.monotonic(), cpu_s))
        if phase is RunPhase.EVALUATING:
            events.counts = event

    def _open_holdout(self, cpu_s: float) -> None:
        # Once, and only when training has ended: a model that still learns must not see it.
        events = self.events
        if self._holdout is None or events.holdout or events.phase is not RunPhase.EVALUATING:
            return
        events.holdout = PhaseStamp(RunPhase.EVALUATING, time.monotonic(), cpu_s)
        try:
            tokens = self._holdout.read_bytes()
        except OSError:  # the referee says that there is too little text
            tokens = b""
        head = json.dumps({"tokens": len(tokens) // 2}).encode() + b"\n"
        self.outgoing = memoryview(head + tokens[: len(tokens) // 2 * 2])

    def _go_on(self, event: dict[str, Any]) -> None:
        events = self.events
        progress = _read_progress(event, events.phase)
        if events.phase is RunPhase.TRAINING and count_of(event.get("step")) is not None:
            events.steps_fell |= events.progress is not None and progress.step < events.progress.step
        events.progress = progress


def count_of(value: object) -> int | None:
    """A count as the referee sent it, or None when it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _device_inside(spec: RunSpec) -> str:
    # With one GPU visible CUDA counts from zero again.
    visible = spec.env.get("CUDA_VISIBLE_DEVICES")
    alone = spec.device.startswith("cuda:") and visible and "," not in visible
    return "cuda:0" if alone else spec.device


def _read_progress(event: dict[str, Any], phase: RunPhase) -> RunProgress:
    loss, speed = number_of(event.get("loss")), number_of(event.get("tokens_per_s"))
    fraction = number_of(event.get("fraction")) or 0.0
    return RunProgress(
        phase=phase,
        fraction=min(max(fraction, 0.0), 1.0) if math.isfinite(fraction) else 0.0,
        elapsed_s=number_of(event.get("elapsed_s")) or 0.0,
        step=count_of(event.get("step")) or 0,
        loss=loss if loss is not None and math.isfinite(loss) else None,
        tokens_per_s=speed if speed is not None and math.isfinite(speed) else None,
        at=time.time(),
    )


def _one_line(value: object, otherwise: str) -> str:
    text = " ".join(str(value).split()) if value else ""
    return text[:300] or otherwise
