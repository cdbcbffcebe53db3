"""What the sealed holdout says to the validation gains, in words for the person."""

from __future__ import annotations

import math

from supervisor.analysis.overfitting import Lineage, Step
from tui.views.figures import change


def holdout_sentence(lineage: Lineage) -> str:
    """One line that names how much of the gain is on the holdout."""
    last = lineage.last
    said = (
        f"{last.experiment.id}: holdout gain {change(last.holdout_gain)} of the validation gain "
        f"{change(last.validation_gain)} ({share_with_interval(last)})"
    )
    if lineage.overfits_since:
        return f"overfitting to validation since {lineage.overfits_since}; {said}"
    return said


def share_with_interval(step: Step) -> str:
    """The share of the validation gain that is found on the holdout."""
    check = step.check
    if check is None or math.isnan(check.share):
        return "no share: no gain"
    if math.isinf(check.share_low) or math.isinf(check.share_high):
        return "share not sure yet"
    return f"share {check.share:.2f}, {check.share_low:.2f} to {check.share_high:.2f}"
