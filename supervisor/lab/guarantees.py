"""What a lab's results can be trusted for: what our referee gives, and what a lab of another kind has to do without."""

from __future__ import annotations

from supervisor.lab.config import LabConfig
from supervisor.model.guarantees import Guarantees


def guarantees_of(config: LabConfig, *, has_referee: bool, deterministic: bool = False) -> Guarantees:
    """What this lab gives."""
    return Guarantees(
        referee=has_referee,
        seeds=has_referee or bool(config.lab.seed_env),
        smoke=has_referee or bool(config.lab.smoke),
        holdout=has_referee,
        checks=bool(config.checks.command),
        deterministic=deterministic,
    )
