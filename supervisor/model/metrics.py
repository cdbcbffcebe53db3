"""What is measured beside the metric."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.model.states import Direction


@dataclass(frozen=True, slots=True)
class Secondary:
    """A figure that is kept with each run, and how much worse than the baseline's it may become."""

    name: str
    direction: Direction = Direction.LOWER
    unit: str = ""
    worse_pct: float | None = None  # None: as much as it likes

    def worst(self, baseline: float) -> float | None:
        """The worst figure that is still accepted where the baseline has this one."""
        if self.worse_pct is None:
            return None
        return baseline - self.direction.sign * abs(baseline) * self.worse_pct / 100
