"""Secondary metrics that may not become much worse than the baseline's. Pure."""

from __future__ import annotations

from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import LabSnapshot


def broken_limit(snapshot: LabSnapshot, experiment: Experiment) -> str:
    """Which secondary metric is too much worse than the baseline's, in words; "" when none is."""
    baseline = snapshot.experiment(snapshot.baseline_id)
    if baseline is None or baseline.id == experiment.id:
        return ""
    before, now = baseline.also, experiment.also
    for one in snapshot.secondary:
        if one.name not in before or one.name not in now:
            continue
        worst = one.worst(before[one.name])
        if worst is not None and one.direction.sign * (now[one.name] - worst) < 0:
            unit = f" {one.unit}" if one.unit else ""
            return (
                f"gate {one.name}: {now[one.name]:g}{unit}, and the baseline has {before[one.name]:g}{unit}; "
                f"it may be {one.worse_pct:g} % worse at most, {worst:g}{unit}"
            )
    return ""
