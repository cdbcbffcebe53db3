"""What the canaries of a campaign have shown: whether the edit is what runs. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from supervisor.analysis.champion import values
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import LabSnapshot

# Of the baseline, where it has noise. What runs at all changes the figure by far more when it is broken.
SAME_WITHIN_SD = 6.0
SAME_WITHIN_SHARE = 0.01


def is_waited_for(snapshot: LabSnapshot) -> bool:
    """Whether the baseline can't be settled yet: a canary has not ended."""
    return any(run.is_under_way for run in snapshot.canaries)


def why_not_what_runs(snapshot: LabSnapshot, baseline: Experiment) -> str:
    """Why edits can't be measured here, in one line with what to do; "" when each canary failed or changed the figure.

    A canary that measured is held against the baseline, whose runs must be in.
    """
    measured = values(baseline, unbiased=True)
    for run in snapshot.canaries:
        if run.metric is not None and is_same(run.metric, measured):
            return told(run.broken, run.metric, statistics.fmean(measured))
    return ""


def told(broken: str, metric: float, before: float) -> str:
    """The line for the person."""
    return (
        f"{broken} is not what runs: with it broken on purpose the command measured {metric:.6g}, as it does without "
        f"({before:.6g}). It must use the files of the folder that it is started in: no installed or built copy, "
        "no absolute path. Mend that or [lab] editable, and launch again"
    )


def is_same(metric: float, baseline: Sequence[float]) -> bool:
    """Whether a figure is one that the baseline could have measured."""
    if not baseline:
        return False
    middle = statistics.fmean(baseline)
    sd = statistics.stdev(baseline) if len(baseline) > 1 else 0.0
    # Three runs in a row may know little of a noisy machine; a figure that repeats exactly has no noise.
    within = max(SAME_WITHIN_SD * sd, SAME_WITHIN_SHARE * abs(middle)) if sd else 0.0
    return abs(metric - middle) <= within
