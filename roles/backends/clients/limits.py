"""Rate, overload and usage limits in the words of providers and clients, and when they end. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

_WORDS = (
    r"rate.?limit", r"too many requests", r"overloaded", r"(?:usage|session|weekly|hourly|\d+-hour) limit",
    r"\bhit your (?:\w+ )?limit", r"limit (?:has been )?reached", r"quota (?:exceeded|exhausted|will reset)",
    r"exceeded your (?:current )?quota",
    r"RESOURCE_EXHAUSTED", r"insufficient_quota", r"credit balance is too low", r"\b(?:429|503|529)\b",
    r"temporarily unavailable", r"server is busy", r"at capacity",
)  # fmt: skip
_LONG = re.compile(
    r"usage|quota|credit|hit your|weekly|session limit|hour limit|limit (?:has been )?reached", re.I
)
SHORT_WAIT_S, LONG_WAIT_S, LONGEST_WAIT_S = 60.0, 900.0, 8 * 86400.0
_EPOCH = re.compile(r"(?<!\d)(1[6-9]\d{8}|2\d{9})(?:\d{3})?(?!\d)")
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_DURATION = re.compile(
    r"(?:in|after)\s+(?:about\s+)?((?:[\d.]+\s*(?:days?|hours?|hrs?|minutes?|mins?|seconds?|secs?|ms|d|h|m|s)(?![a-z])[\s,]*(?:and\s+)?)+)",
    re.I,
)
_PART = re.compile(r"([\d.]+)\s*(ms|d|h|m|s)", re.I)
_RETRY_AFTER = re.compile(r"retry[-_ ]after\W{1,4}(\d+(?:\.\d+)?)", re.I)
_CLOCK = re.compile(r"(?:at|resets)\s+(?:at\s+)?(\d{1,2})(?::(\d{2}))?\s*([ap]m)?\b", re.I)


def is_limit(text: str, patterns: Sequence[str] = ()) -> bool:
    """Whether these words are about a limit that passes."""
    return any(re.search(pattern, text, re.I) for pattern in (*_WORDS, *patterns))


def ends_at(text: str, now: float, epochs: Iterable[object] = ()) -> float:
    """When to try again, in epoch seconds: as an event or the words say, else after a minute, or 15 for quotas."""
    waits = [epoch - now for value in epochs if (epoch := _epoch(value)) is not None]
    waits = waits or list(_waits(text, now))
    default = LONG_WAIT_S if _LONG.search(text) else SHORT_WAIT_S
    wait_s = next((wait for wait in waits if 0 < wait <= LONGEST_WAIT_S), default)
    return now + max(wait_s, 1.0)


def _waits(text: str, now: float) -> Iterable[float]:
    if match := _EPOCH.search(text):
        yield float(match[1]) - now
    if match := _RETRY_AFTER.search(text):
        yield float(match[1])
    if match := _DURATION.search(text):
        yield sum(
            float(n.strip(".") or 0) * (0.001 if u.lower() == "ms" else _UNITS[u.lower()])
            for n, u in _PART.findall(match[1])
        )
    if match := _CLOCK.search(text):
        yield _until_clock(int(match[1]), int(match[2] or 0), (match[3] or "").lower(), now)


def _until_clock(hour: int, minute: int, half: str, now: float) -> float:
    # In the local time of this machine: that is what clients print.
    if half:
        hour = hour % 12 + 12 * (half == "pm")
    if hour > 23 or minute > 59:
        return -1.0
    today = datetime.fromtimestamp(now)
    then = today.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return ((then if then > today else then + timedelta(days=1)) - today).total_seconds()


def _epoch(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number / 1000 if number > 1e12 else number
