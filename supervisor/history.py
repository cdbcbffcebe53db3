"""Histories of other harnesses: a results.tsv in karpathy's five columns, read and ranked as it stands."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from supervisor.errors import LabError

_NOISE_SDS = 2.0  # as on the lab's own leaderboard
_SEED_SWAP = re.compile(r"\bseed\b.*\d+\s*(?:to|->|→)\s*\d+", re.IGNORECASE)
_STATUSES = frozenset({"keep", "discard", "crash"})


class HistoryError(LabError):
    """The file is no history; the text says in one line what is missing."""


@dataclass(frozen=True, slots=True)
class Line:
    """One experiment as its harness wrote it."""

    number: int  # of the line in the file, from 1
    commit: str
    metric: float | None  # None: it has no score, whatever was printed
    memory_gb: float | None
    status: str
    description: str
    rank: int | None  # 1 is the lowest metric; None: no score
    gain: float | None  # over the best kept before it, positive is better; None: nothing to compare with
    inside_noise: bool  # a keep whose gain may be luck


@dataclass(frozen=True, slots=True)
class History:
    """A whole file, in its order; lower is better."""

    metric_name: str
    lines: tuple[Line, ...]
    skipped: int  # lines that say nothing usable
    noise_sd: float | None  # of one run, in the metric's unit
    noise_stated: bool  # the reader stated it; otherwise it is from the file's own seed swap

    @property
    def keeps(self) -> tuple[Line, ...]:
        """The keeps that claim a gain: all but the first, which is where the history starts."""
        return tuple(one for one in self.lines if one.status == "keep" and one.gain is not None)

    @property
    def claimed_gain(self) -> float:
        """What the keeps say they won together."""
        return math.fsum(one.gain for one in self.keeps if one.gain is not None)


@dataclass(frozen=True, slots=True)
class _Raw:
    number: int
    commit: str
    metric: float | None
    memory_gb: float | None
    status: str
    description: str


def read_history(content: bytes, noise_sd: float | None = None) -> History:
    """Read the bytes of a results.tsv. Raises HistoryError when it has no header or no usable line."""
    texts = [
        (number, text)
        for number, text in enumerate(content.decode("utf-8-sig", "replace").splitlines(), start=1)
        if text.strip()
    ]
    if not texts:
        raise HistoryError(
            "The file is empty: a history starts with commit, val_bpb, memory_gb, status, description."
        )
    header = [name.strip() for name in texts[0][1].split("\t")]
    if len(header) < 5 or (header[0], header[3]) != ("commit", "status"):
        raise HistoryError(
            "The first line is not the header commit, val_bpb, memory_gb, status, description."
        )
    raws = [raw for number, text in texts[1:] if (raw := _read_line(number, text)) is not None]
    if not raws:
        raise HistoryError("The file has a header and no usable line below it.")
    gains = _gains(raws)
    sd = noise_sd if noise_sd is not None else _seed_swap_sd(raws, gains)
    ranks = _ranks(raws)
    lines = tuple(
        Line(
            number=raw.number,
            commit=raw.commit,
            metric=raw.metric,
            memory_gb=raw.memory_gb,
            status=raw.status,
            description=raw.description,
            rank=ranks.get(raw.number),
            gain=gain,
            inside_noise=_is_inside_noise(raw, gain, sd),
        )
        for raw, gain in zip(raws, gains, strict=True)
    )
    return History(header[1], lines, len(texts) - 1 - len(raws), sd, noise_sd is not None)


def _read_line(number: int, text: str) -> _Raw | None:
    cells = [cell.strip() for cell in text.split("\t", 4)]
    if len(cells) != 5 or (status := cells[3].lower()) not in _STATUSES:
        return None
    metric, memory_gb = _number(cells[1]), _number(cells[2])
    if status == "crash":
        metric = None
    elif metric is None or metric <= 0:  # a score of nothing is how a crash looks in this dialect
        return None
    return _Raw(number, cells[0], metric, memory_gb, status, cells[4])


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _gains(raws: list[_Raw]) -> list[float | None]:
    best: float | None = None
    gains: list[float | None] = []
    for raw in raws:
        gains.append(None if best is None or raw.metric is None else best - raw.metric)
        if raw.status == "keep" and raw.metric is not None:
            best = raw.metric if best is None else min(best, raw.metric)
    return gains


def _seed_swap_sd(raws: list[_Raw], gains: list[float | None]) -> float | None:
    """The difference of two runs has √2 times one run's SD."""
    swaps = [
        gain for raw, gain in zip(raws, gains, strict=True) if gain and _SEED_SWAP.search(raw.description)
    ]
    return math.sqrt(math.fsum(gain**2 for gain in swaps) / len(swaps) / 2) if swaps else None


def _ranks(raws: list[_Raw]) -> dict[int, int]:
    scored = sorted((raw.metric, raw.number) for raw in raws if raw.metric is not None)
    return {number: rank for rank, (_, number) in enumerate(scored, start=1)}


def _is_inside_noise(raw: _Raw, gain: float | None, sd: float | None) -> bool:
    if raw.status != "keep" or gain is None or sd is None:
        return False
    return gain <= _NOISE_SDS * math.sqrt(2) * sd
