"""How row numbers are written for people: `e0012`, `h-07`, `e0012.3`."""

from __future__ import annotations


def experiment_id(number: int) -> str:
    """Row number → `e0012`."""
    return f"e{number:04d}"


def hypothesis_id(number: int) -> str:
    """Row number → `h-07`."""
    return f"h-{number:02d}"


def run_id(experiment: int, ordinal: int) -> str:
    """The k-th run of an experiment → `e0012.3`."""
    return f"{experiment_id(experiment)}.{ordinal}"


def number_of(public_id: str) -> int:
    """`e0012`, `h-07` or a bare number → row number. Raises ValueError for anything else."""
    return int(public_id.lstrip("eh").lstrip("-") or "x")


def optional_number(public_id: str | None) -> int | None:
    """As `number_of`; None stays None."""
    return None if public_id is None else number_of(public_id)
