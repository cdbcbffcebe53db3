"""What is asked about promotions from outside: measure, land, take back. A killed call may be made again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from supervisor.client.readings import LabReadings
from supervisor.errors import LabError
from supervisor.model.promotion import ACTIVE, Promotion
from supervisor.model.snapshot import LabSnapshot
from supervisor.promotion import commands
from supervisor.promotion.candidates import open_request
from supervisor.promotion.land import merge_line

SUPERVISOR_RETRY_S = 10.0  # between two attempts to start a supervisor
EVIDENCE_POLL_S = 1.0


class PromotionRequests:
    """The part of `LabClient` that is about promotions. Any call may raise ExpectedError."""

    def __init__(self, readings: LabReadings) -> None:
        self._readings = readings
        self._lab, self._store, self._repository = readings.lab, readings.store, readings.repository

    def promote(self, names: Sequence[str]) -> Promotion:
        """Have the champion, or what is named, measured against the base branch."""
        promotion = commands.request_promotion(self._lab, self._store, self._repository, names, time.time())
        self._ensure_supervisor(promotion)
        return promotion

    def finalize(self, names: Sequence[str], *, measured: bool) -> Promotion:
        """Have a branch made of each keep."""
        return commands.request_finalize(
            self._lab, self._store, self._repository, names, time.time(), measured=measured
        )

    def numbered(self, number: int) -> Promotion:
        """The promotion of that number."""
        return commands.promotion_numbered(self._readings.launched(), number)

    def diff(self, number: int) -> str:
        """What a promotion changes on the base branch as a unified diff, "" while nothing is prepared."""
        promotion = self.numbered(number)
        if not promotion.base_commit or not promotion.commit:
            return ""
        return self._repository.diff(promotion.base_commit, promotion.commit)

    def wait_for_evidence(
        self, number: int, look: Callable[[LabSnapshot, Promotion], None]
    ) -> tuple[LabSnapshot, Promotion]:
        """Wait until the supervisor has done its part, and see that there is one; `look` is called at each change."""
        started_at = 0.0
        while True:
            snapshot = self._readings.launched()
            promotion = commands.promotion_numbered(snapshot, number)
            if promotion.state not in ACTIVE:
                return snapshot, promotion
            look(snapshot, promotion)
            if time.monotonic() - started_at > SUPERVISOR_RETRY_S:
                started_at = time.monotonic()
                self._ensure_supervisor(promotion)
            self._readings.wait_for_change(EVIDENCE_POLL_S)

    def _ensure_supervisor(self, promotion: Promotion) -> None:
        """Where it is still to be measured, see that there is a supervisor to do so."""
        if promotion.state in ACTIVE and not self._readings.launched().supervisor_alive:
            from supervisor.campaign.launch import start_supervisor

            start_supervisor(self._lab, self._readings.server)

    def land(self, number: int) -> Promotion:
        """The person's yes: put it on the base branch. Raises LabError also when the evidence does not say yes."""
        return commands.accept_and_land(self._lab, self._store, self._repository, number, time.time())

    def decline(self, number: int) -> Promotion:
        """End a promotion, also one that is being measured; the base branch stays as it is."""
        return commands.decline(self._lab, self._store, number, time.time())

    def cancel(self, names: Sequence[str]) -> Promotion:
        """Decline what is open of these names, or of any."""
        promotion = open_request(self._readings.launched(), names)
        if promotion is None:
            raise LabError("no such promotion is open")
        return self.decline(promotion.number)

    def last(self) -> Promotion:
        """What `roll_back` would take off its branch."""
        return commands.rollback_target(self._store, self._repository, time.time())

    def roll_back(self) -> Promotion:
        """Take the last promotion off its branch with a commit that reverts it."""
        return commands.roll_back(self._lab, self._store, self._repository, time.time())

    def merge_line(self, promotion: Promotion) -> str:
        """The line that lands a waiting commit, to be typed in the current folder."""
        return merge_line(self._repository, promotion, Path.cwd())
