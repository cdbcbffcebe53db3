"""What a person asks of a launch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
    experiments: int | None = None  # from now on
    hours: float | None = None
    usd: float | None = None
    history: Path | None = None  # of another harness, to be imported
