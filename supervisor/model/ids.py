"""How row numbers are written for people: `e0012`, `h-07`, `e0012.3`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated


def experiment_id(number: int) -> str:
    """Row number → `e0012`."""
    return f"e{number:04d}"


def hypothesis_id(number: int) -> str:
    """Row number → `h-07`."""
    return f"h-{number:02d}"


def run_id(experiment: int, ordinal: int) -> str:
    """The k-th run of an experiment → `e0012.3`."""
    return f"{experiment_id(experiment)}.{ordinal}"


def canary_id(experiment: int, number: int) -> str:
    """The k-th canary of a campaign, beside the runs of its baseline → `e0000.canary-1`."""
    return f"{experiment_id(experiment)}.canary-{number}"


def number_of(public_id: str) -> int:
    """`e0012`, `h-07` or a bare number → row number. Raises ValueError for anything else."""
    return int(public_id.lstrip("eh").lstrip("-") or "x")


def device_list(device_ids: Sequence[str]) -> str:
    """The devices of one run → `cuda:0+cuda:1`."""
    return "+".join(device_ids)


def devices_in(text: str) -> list[str]:
    """`cuda:0+cuda:1` → the devices of one run."""
    return text.split("+")


# Texts here and numbers in the store; each says how it is written.
ExperimentId = Annotated[str, experiment_id]
HypothesisId = Annotated[str, hypothesis_id]
