"""A lab in memory: hands out the snapshots it is given, and remembers what was asked of it."""

from __future__ import annotations

import dataclasses
import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from supervisor.client.lab_client import LabClient
from supervisor.client.promotions import PromotionRequests
from supervisor.errors import LabError
from supervisor.model.base import Base
from supervisor.model.promotion import Promotion, PromotionKind, PromotionState
from supervisor.model.snapshot import LabSnapshot

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


LANDED = Promotion(
    2,
    "nov20",
    PromotionKind.PROMOTE,
    PromotionState.LANDED,
    "halve the batch",
    0.0,
    landed_commit="1234567890",
    home=Base("main"),
)


@dataclass
class MemoryClient:
    """Stands in for `LabClient`. A verb of it that is not here is checked against the real one and remembered."""

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
            raise LabError(self.unreadable)
        return self.lab

    def wait_for_change(self, timeout_s: float) -> bool:
        changed = self._changed.wait(timeout_s)
        self._changed.clear()
        return changed

    def log_tail(self, run_id: str) -> str:
        return f"{run_id}\n{self.log}"

    def note_text(self, note_id: str) -> str:
        return f"# {note_id}\n\nA long warm-down pays at every depth tried, by about two sigma each time.\n"

    def capture(self, agent: str) -> str:
        return self.pane

    def switch_to(self, agent: str) -> None:
        self.attach(agent)

    @property
    def promotions(self) -> MemoryClient:
        return self

    def diff(self, of: str | int) -> str:
        return DIFF

    def last(self) -> Promotion:
        if self.refusal:
            raise LabError(self.refusal)
        return LANDED

    def __getattr__(self, verb: str) -> Callable[..., Promotion]:
        real = getattr(PromotionRequests, verb, None) or getattr(LabClient, verb)

        def remember(*arguments: object) -> Promotion:
            inspect.signature(real).bind(self, *arguments)
            if self.refusal:
                raise LabError(self.refusal)
            self.requests.append((verb, *(tuple(a) if isinstance(a, list) else a for a in arguments)))
            number, reverts = (
                (self.number, None) if verb == "promote" else (9, 2 if verb == "roll_back" else None)
            )
            return dataclasses.replace(LANDED, number=number, reverts=reverts)

        return remember
