"""All cheats of the default lab: what an agent could write to score better than it is."""

from __future__ import annotations

from cheating import models, tampering
from cheating.edits import Edit


def cheats() -> tuple[Edit, ...]:
    """Every cheat, by kind."""
    of_the_model = (*models.peeking(), *models.remembering(), *models.training())
    of_the_machinery = (*tampering.reports(), *tampering.patches(), *tampering.clocks(), *tampering.files())
    return (*of_the_model, *of_the_machinery)
