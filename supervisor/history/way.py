"""Which way a history's metric improves, where nobody says: by its name, and by what was kept. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from supervisor.history.entries import Entry, ending_of, number_in
from supervisor.model.directions import direction_of
from supervisor.model.states import Direction

_TELLING = 3  # moves between keeps that contradict a name


def way_of(metric: str, column: str, entries: Sequence[Entry]) -> Direction | None:
    """The direction; None where name and keeps tell nothing, or contradict each other."""
    named = direction_of(metric)
    by_keeps, moves = _by_keeps(column, entries)
    if not named.sure:
        return by_keeps
    return None if by_keeps not in (None, named.direction) and moves >= _TELLING else named.direction


def _by_keeps(column: str, entries: Sequence[Entry]) -> tuple[Direction | None, int]:
    kept = [
        value for one in entries if ending_of(one) == "keep" and (value := number_in(one, column)) is not None
    ]
    moves = [now - before for before, now in pairwise(kept) if now != before]
    if moves and all(move > 0 for move in moves):
        return Direction.HIGHER, len(moves)
    return (Direction.LOWER, len(moves)) if moves and all(move < 0 for move in moves) else (None, 0)
