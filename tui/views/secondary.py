"""Secondary metrics as people and scripts see them: those that the lab names, and those that runs printed."""

from __future__ import annotations

from typing import Any

from supervisor.model.directions import direction_of
from supervisor.model.experiment import Experiment
from supervisor.model.metrics import Secondary
from supervisor.model.snapshot import LabSnapshot
from tui.views.figures import metric
from tui.views.text import plain

_MOST = 6  # that are shown of those that nobody named


def secondary_of(snapshot: LabSnapshot) -> tuple[Secondary, ...]:
    """What is shown beside the metric, the named ones first."""
    named = {one.name for one in snapshot.secondary}
    seen = dict.fromkeys(name for one in snapshot.experiments for name in one.also if name not in named)
    return (
        *snapshot.secondary,
        *(Secondary(name, direction_of(name).direction) for name in list(seen)[:_MOST]),
    )


def title_of(one: Secondary) -> str:
    """Its name with its unit: `heap (MB)`."""
    return plain(f"{one.name} ({one.unit})" if one.unit else one.name)


def secondary_in_words(snapshot: LabSnapshot, one: Experiment) -> str:
    """The experiment's figures beside its metric: `heap 12.5000 MB, allocations 31.0000 (at most 10 % worse)`."""
    parts = []
    for each in secondary_of(snapshot):
        if each.name in one.also:
            limit = f" (at most {each.worse_pct:g} % worse)" if each.worse_pct is not None else ""
            parts.append(f"{each.name} {metric(one.also[each.name])} {each.unit}".rstrip() + limit)
    return ", ".join(parts)


def secondary_records(snapshot: LabSnapshot) -> list[dict[str, Any]]:
    """The same for scripts; the direction of one that nobody named is a guess by its name."""
    return [
        {"name": one.name, "direction": one.direction.value, "unit": one.unit, "worse_pct": one.worse_pct}
        for one in secondary_of(snapshot)
    ]
