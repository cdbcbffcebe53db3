"""What a person asks of a launch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from supervisor.model.snapshot import Limits


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """What the person asked for; None: as the configuration says, or as the campaign has it."""

    tag: str | None = None
    base: str | None = None  # a revision; None: what is checked out
    juniors: int | None = None
    devices: str | None = None
    chief: str | None = None
    junior: str | None = None
    budget_s: float | None = None
    experiments: int | None = None  # see `limits_from_now`
    hours: float | None = None
    usd: float | None = None
    history: Path | None = None  # of another harness, to be imported

    @property
    def limits(self) -> Limits:
        """The limits that were asked for."""
        return Limits(self.experiments, self.hours, self.usd)
