"""A lab in memory: hands out the snapshots it is given, and remembers what was asked of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from supervisor.model.snapshot import LabSnapshot
from tui.lab_access.port import Agents, LabRequestError

PANE = (
    "\x1b[1mjunior-1\x1b[0m  e0039 · \x1b[38;5;108mhalve the batch\x1b[0m\n"
    "expectation: more steps, \x1b[2mdim\x1b[0m\n"
    "\x1b[32m+TOKENS = 2048\x1b[0m\n"
)
DIFF = """diff --git a/training/train.py b/training/train.py
--- a/training/train.py
+++ b/training/train.py
@@ -14,3 +14,4 @@ DEPTH = 4
 WIDTH = 64
-TOKENS_PER_STEP = 4096
+TOKENS_PER_STEP = 2048  # [bold]half[/bold]
+STEPS_AHEAD = 1
"""


@dataclass
class MemoryPort:
    """Answers to `LabPort`."""

    lab: LabSnapshot
    attach_takes_terminal: bool = False
    requests: list[tuple[object, ...]] = field(default_factory=list)
    refusal: str = ""
    unreadable: str = ""
    number: int = 3  # of the promotion that is begun
    pane: str = PANE
    log: str = "step 0  loss 7.62\rstep 400  loss 3.02\n"
    _changed: threading.Event = field(default_factory=threading.Event)

    def change(self, lab: LabSnapshot) -> None:
        """From now on the lab is this one."""
        self.lab = lab
        self._changed.set()

    def snapshot(self) -> LabSnapshot:
        if self.unreadable:
            raise LabRequestError(self.unreadable)
        return self.lab

    def wait_for_change(self, timeout_s: float) -> bool:
        changed = self._changed.wait(timeout_s)
        self._changed.clear()
        return changed

    def diff(self, experiment_id: str) -> str:
        return DIFF

    def log_tail(self, run_id: str) -> str:
        return f"{run_id}\n{self.log}"

    def note_text(self, note_id: str) -> str:
        return f"# {note_id}\n\nA long warm-down pays at every depth tried, by about two sigma each time.\n"

    def capture(self, agent: str) -> str:
        return self.pane

    def _asked(self, *request: object) -> None:
        if self.refusal:
            raise LabRequestError(self.refusal)
        self.requests.append(request)

    def attach(self, agent: str) -> None:
        self._asked("attach", agent)

    def send(self, agents: Agents, text: str) -> None:
        self._asked("send", tuple(agents), text)

    def pause(self, agents: Agents) -> None:
        self._asked("pause", tuple(agents))

    def resume(self, agents: Agents) -> None:
        self._asked("resume", tuple(agents))

    def stop(self, agents: Agents) -> None:
        self._asked("stop", tuple(agents))

    def restart(self, agents: Agents) -> None:
        self._asked("restart", tuple(agents))

    def add_junior(self) -> None:
        self._asked("add_junior")

    def add_hypothesis(self, text: str) -> None:
        self._asked("add_hypothesis", text)

    def promote(self, names: Sequence[str]) -> int:
        self._asked("promote", tuple(names))
        return self.number

    def promotion_diff(self, number: int) -> str:
        return DIFF

    def land(self, number: int) -> str:
        self._asked("land", number)
        return "on main as 1234567890"

    def decline(self, number: int) -> None:
        self._asked("decline", number)

    def last_promotion(self) -> str:
        if self.refusal:
            raise LabRequestError(self.refusal)
        return "promotion 2, halve the batch"

    def roll_back(self) -> str:
        self._asked("roll_back")
        return "promotion 2 is taken back"

    def approve(self, hypothesis_id: str) -> None:
        self._asked("approve", hypothesis_id)
