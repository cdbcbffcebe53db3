"""One step after another; after a failed one, wait as long as it takes, tell for how long, and lose nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from roles.backend import BackendError, ParkedError, SpentError
from roles.loops.agent_process import IDLE_POLL_S, AgentProcess
from roles.pane import stamp
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import AgentState
from supervisor.store import agents
from supervisor.text import one_line

FIRST_BACKOFF_S = 30.0
LONGEST_BACKOFF_S = 600.0
LONGEST_PARK_S = 8 * 86_400.0  # a week's limit and a day


def run_steps(process: AgentProcess, step: Callable[[LabSnapshot], bool]) -> int:
    """Call `step`, which says whether it had something to do, until the agent is to end; returns the exit code."""
    process.pane.heading(f"{process.name} ({process.backend.name}) {stamp()}")
    backoff = Backoff(process)
    while True:
        snapshot = process.snapshot()
        if not process.may_go_on(snapshot):
            return 0
        process.watch_supervisor(snapshot)
        if backoff.waits(snapshot):
            time.sleep(IDLE_POLL_S)
            continue
        try:
            worked = step(snapshot)
        except BackendError as error:
            backoff.after(error)
            continue
        if worked:
            backoff.succeeded()
        else:
            time.sleep(IDLE_POLL_S)


@dataclass(slots=True)
class Backoff:
    """One agent's waiting. The same step is tried again when it is over."""

    process: AgentProcess
    until: float = 0.0  # epoch seconds
    why: str = ""
    _backoff_s: float = FIRST_BACKOFF_S
    _parked: bool = False

    def after(self, error: BackendError) -> None:
        """Begin to wait: until the time that a limit names, or twice as long as the last time.

        An agent without a budget left stops; the person starts it again, with more.
        """
        if isinstance(error, SpentError):
            process = self.process
            agents.stop_agent(process.store, process.tag, process.name, one_line(str(error)), time.time())
            return
        now, self.why = time.time(), one_line(str(error))
        self._parked = isinstance(error, ParkedError)
        limit_ends_at = error.until if isinstance(error, ParkedError) else math.nan
        if now < limit_ends_at:  # false for NaN
            self.until = min(limit_ends_at, now + LONGEST_PARK_S)
        else:
            self.until = now + self._backoff_s
            self._backoff_s = min(2 * self._backoff_s, LONGEST_BACKOFF_S)
        self.process.pane.heading(
            f"{'parked' if self._parked else 'the backend could not do this step'}: {self.why}"
        )
        self._tell()

    def succeeded(self) -> None:
        """The next failure is a first one."""
        self._backoff_s = FIRST_BACKOFF_S

    def waits(self, snapshot: LabSnapshot) -> bool:
        """Whether the wait goes on; counts down on the pane's live line."""
        left_s = self.until - time.time()
        if left_s <= 0:
            return False
        agent = snapshot.agent(self.process.name)
        if agent is not None and agent.state is not self._state:  # after a pause
            self._tell()
        self.process.pane.live(
            f"{'parked' if self._parked else 'tries again'} for {countdown(left_s)}: {self.why}"
        )
        return True

    @property
    def _state(self) -> AgentState:
        return AgentState.PARKED if self._parked else AgentState.FAILING

    def _tell(self) -> None:
        process = self.process
        if self._parked:
            agents.park_agent(process.store, process.tag, process.name, self.until, self.why, time.time())
        else:
            process.state(AgentState.FAILING, doing=self.why)


def countdown(seconds: float) -> str:
    """A wait as a clock: "4:05", "2:04:05"."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
