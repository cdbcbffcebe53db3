"""Text that came from a model, a log or another box: made safe to print, or read as Python."""

from __future__ import annotations

import ast
import math
import re
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # OSC, DCS, SOS, PM, APC up to their end
    r"|\x1b[ -/]*[0-~]"
    r"|[\x80-\x9f]",
    re.DOTALL,
)
# Controls, and the marks that reorder or hide what a person reads.
UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)


# What Python says of a source that it can't take.
UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


def plain(text: str) -> str:
    """The text without escapes and control characters; line breaks and tabs stay."""
    return UNSEEN.sub("", ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def one_line(text: str) -> str:
    """As `plain`, on one line."""
    return " ".join(plain(text).split())


def slug(text: str, longest: int) -> str:
    """The text as a part of a file's or a branch's name: a-z, 0-9 and single dashes; "" when it has none of these."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:longest].strip("-")


def matches_glob(path: str, glob: str) -> bool:
    """Whether a glob names the path; * stops at /, a part ** is any number of folders, the last one anything below."""
    return _match_parts(PurePosixPath(path).parts, PurePosixPath(glob).parts)


def _match_parts(parts: tuple[str, ...], globs: tuple[str, ...]) -> bool:
    if not globs:
        return not parts
    if globs[0] == "**":
        least = 1 if len(globs) == 1 else 0
        return any(_match_parts(parts[at:], globs[1:]) for at in range(least, len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], globs[0]) and _match_parts(parts[1:], globs[1:])


def parsed(source: str) -> ast.Module | None:
    """The source as a tree; None for what is no Python."""
    try:
        return ast.parse(source)
    except UNREADABLE:
        return None


def figure(value: float) -> str:
    """A measured number with the digits that it needs: 0.9971, 0.001235, 4.012e-5, 31.0000, 984231, 1.5000e9."""
    size = abs(value)
    if size == 0 or not math.isfinite(value):
        return f"{value:.4f}"
    if not 1e-3 <= size < 1e7:
        mantissa, _, exponent = f"{value:.{3 if size < 1 else 4}e}".partition("e")
        return f"{mantissa}e{int(exponent)}"
    if size < 1e3:
        return f"{value:.{4 if size >= 1e-2 else 6}f}"
    return f"{value:.0f}" if value == int(value) else f"{value:.{max(1, 6 - len(str(int(size))))}f}"


def signed_figure(value: float) -> str:
    """A difference of measured numbers, as `figure` but with its sign; small ones with two digits: +4.2e-5."""
    if 0 < abs(value) < 1e-3:
        mantissa, _, exponent = f"{value:+.1e}".partition("e")
        return f"{mantissa}e{int(exponent)}"
    text = figure(value)
    return text if text.startswith("-") else f"+{text}"
