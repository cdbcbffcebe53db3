"""Numbers as people read them: a real minus sign, one unit per kind of value, widths that do not jump."""

from __future__ import annotations

import math

from sessions.devices.gpu import GpuReading, Throttle
from supervisor.text import figure, signed_figure

MINUS = "−"
NONE = "–"


def metric(value: float | None) -> str:
    """A measured number with the digits that it needs, or a dash."""
    return NONE if value is None else figure(value).replace("-", MINUS)


def change(value: float | None) -> str:
    """A signed difference of metrics, without the zero before the point: −.0123."""
    if value is None:
        return NONE
    if value == 0:
        return "±.0000"
    text = signed_figure(value)
    return (text[0] + text[1:].removeprefix("0")).replace("-", MINUS)


def percent(fraction: float | None) -> str:
    """A signed share in percent, one decimal."""
    if fraction is None:
        return NONE
    return f"{fraction * 100:+.1f} %".replace("-", MINUS)


def share(fraction: float) -> str:
    """A share of a whole, 0 to 1, always five cells."""
    return f"{min(max(fraction, 0.0), 1.0) * 100:.0f} %".rjust(5)


def age(seconds: float) -> str:
    """How long something has lasted, in at most five cells: 5s, 12m, 3h04m, 2d05h."""
    total = max(0, int(seconds))
    if total < 60:
        return f"{total}s"
    if total < 3600:
        return f"{total // 60}m"
    if total < 86400:
        return f"{total // 3600}h{total % 3600 // 60:02d}m"
    return f"{total // 86400}d{total % 86400 // 3600:02d}h"


def sensors(reading: GpuReading | None) -> str:
    """A GPU's sensors in a few cells: 98 % 44/141 GB 61°."""
    if reading is None:
        return ""
    use, heat = reading.utilization_percent, reading.temperature_c
    used, total = round(reading.memory_used_mb / 1024), round(reading.memory_total_mb / 1024)
    parts = ("" if use is None else f"{use} %", f"{used}/{total} GB", "" if heat is None else f"{heat}°")
    return " ".join(part for part in parts if part)


def throttling(reading: GpuReading | None) -> str:
    """What slows a GPU down out of the ordinary; its power cap does not count, every big one runs into it."""
    if reading is None:
        return ""
    return " and ".join(reason for reason in reading.throttled if reason is not Throttle.POWER_CAP)


def clock(seconds: float) -> str:
    """A short duration as minutes and seconds: 1:51."""
    total = max(0, round(seconds))
    return f"{total // 60}:{total % 60:02d}"


def gigabytes(mebibytes: float | None) -> str:
    """Memory in GB, one decimal below ten."""
    if mebibytes is None:
        return NONE
    value = mebibytes / 1024
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def dollars(usd: float) -> str:
    """US dollars with cents."""
    return f"${usd:,.2f}"


def tokens_per_second(rate: float | None) -> str:
    """A training speed: 21.8k tok/s."""
    if rate is None:
        return ""
    return f"{rate / 1000:.1f}k tok/s" if rate >= 1000 else f"{rate:.0f} tok/s"


def margin(half_width: float | None) -> str:
    """Half of an interval, in at most seven cells: ±.0076."""
    if half_width is None:
        return ""
    if 1e-3 <= half_width < 1e4 or half_width == 0:
        decimals = 4 if half_width < 1 else 1 if half_width < 1e3 else 0
        return "±" + f"{half_width:.{decimals}f}".removeprefix("0")
    if not math.isfinite(half_width):
        return "±∞"
    mantissa, _, exponent = f"{half_width:.1e}".partition("e")
    return f"±{mantissa}e{int(exponent)}".replace("-", MINUS)


def flagged(flags: int, unverified: bool) -> str:
    """How many flags there are: ⚑2, with a question mark until they are verified."""
    return f"⚑{flags}{'?' if unverified else ''}" if flags else ""


def trust(dots: int) -> str:
    """How much a figure rests on, of three: ●●○."""
    return "●" * dots + "○" * (3 - dots)


def thousands(count: int) -> str:
    """A count in few cells: 950, 12.3k, 4.5M."""
    if count < 1000:
        return str(count)
    value, unit = (count / 1e3, "k") if count < 999_500 else (count / 1e6, "M")
    return f"{value:.1f}{unit}" if value < 100 else f"{value:.0f}{unit}"
