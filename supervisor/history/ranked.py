"""Histories of other harnesses, read and ranked as they stand."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from supervisor.analysis.noise import INSIDE_NOISE_SDS
from supervisor.history.dialects import HistoryError as HistoryError
from supervisor.history.dialects import parse_history
from supervisor.model.records import RawLine
from supervisor.model.states import Direction

_SEED_SWAP = re.compile(r"\bseed\b.*\d+\s*(?:to|->|→)\s*\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RankedLine(RawLine):
    """One experiment as its harness wrote it, in its place."""

    rank: int | None  # 1 is the best metric; None: no score
    gain: float | None  # over the best kept before it, positive is better; None: nothing to compare with
    inside_noise: bool  # a keep whose gain may be luck


@dataclass(frozen=True, slots=True)
class History:
    """A whole file, in its order."""

    metric_name: str
    direction: Direction
    lines: tuple[RankedLine, ...]
    skipped: int  # lines that say nothing usable
    noise_sd: float | None  # of one run, in the metric's unit
    noise_stated: bool  # the reader stated it; otherwise it is from the file's own seed swap

    @property
    def keeps(self) -> tuple[RankedLine, ...]:
        """The keeps that claim a gain: all but the first, which is where the history starts."""
        return tuple(one for one in self.lines if one.status == "keep" and one.gain is not None)

    @property
    def claimed_gain(self) -> float:
        """What the keeps say they won together: from the first of the chain to its best."""
        kept = [one.metric for one in self.lines if one.status == "keep" and one.metric is not None]
        return max(self.direction.sign * (metric - kept[0]) for metric in kept) if kept else 0.0


def read_history(
    content: bytes, noise_sd: float | None = None, direction: Direction | None = None, metric: str = ""
) -> History:
    """Read the bytes of a history in any dialect; `direction` is its `metric`'s, or that of whichever it has.

    Raises HistoryError when it has no header or no usable line, or when nothing tells which way is better.
    """
    raw_history = parse_history(content, metric, direction)
    raws, way = raw_history.lines, raw_history.direction
    if way is None:
        name = raw_history.metric_name
        raise HistoryError(
            f"Neither {name!r} nor its keeps tell which way is better: say --direction lower or higher."
        )
    gains = _gains(raws, way)
    sd = noise_sd if noise_sd is not None else _seed_swap_sd(raws, gains)
    ranks = _ranks(raws, way)
    lines = tuple(
        RankedLine(
            **asdict(raw), rank=ranks.get(raw.number), gain=gain, inside_noise=_is_inside_noise(raw, gain, sd)
        )
        for raw, gain in zip(raws, gains, strict=True)
    )
    return History(raw_history.metric_name, way, lines, raw_history.skipped, sd, noise_sd is not None)


def _gains(raws: Sequence[RawLine], direction: Direction) -> list[float | None]:
    best: float | None = None
    gains: list[float | None] = []
    for raw in raws:
        gains.append(None if best is None or raw.metric is None else direction.sign * (raw.metric - best))
        if raw.status == "keep" and raw.metric is not None:
            better = best is None or direction.sign * raw.metric > direction.sign * best
            best = raw.metric if better else best
    return gains


def _seed_swap_sd(raws: Sequence[RawLine], gains: list[float | None]) -> float | None:
    """The difference of two runs has √2 times one run's SD."""
    pairs = zip(raws, gains, strict=True)
    swaps = [gain for raw, gain in pairs if gain and _SEED_SWAP.search(raw.description)]
    return math.sqrt(math.fsum(gain**2 for gain in swaps) / len(swaps) / 2) if swaps else None


def _ranks(raws: Sequence[RawLine], direction: Direction) -> dict[int, int]:
    scored = sorted((-direction.sign * raw.metric, raw.number) for raw in raws if raw.metric is not None)
    return {number: rank for rank, (_, number) in enumerate(scored, start=1)}


def _is_inside_noise(raw: RawLine, gain: float | None, sd: float | None) -> bool:
    if raw.status != "keep" or gain is None or sd is None:
        return False
    return gain <= INSIDE_NOISE_SDS * math.sqrt(2) * sd
