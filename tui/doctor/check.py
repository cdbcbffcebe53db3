"""One thing that `doctor` looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Health(StrEnum):
    """How a check came out."""

    GOOD = "good"
    WARNING = "warning"  # the lab works, not as well as it could
    BAD = "bad"  # something needed is missing


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    health: Health
    found: str
    mend: str = ""  # the line that mends it

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "health": self.health.value,
            "found": self.found,
            "mend": self.mend or None,
        }
