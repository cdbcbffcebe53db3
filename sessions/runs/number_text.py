"""Numbers as people print them: with a unit behind, with commas between the thousands."""

from __future__ import annotations

import re

NUMBER = re.compile(
    r"[-+]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,4})?(?![\d.]|[xX][\da-fA-F])"
    r"|[-+]?(?:nan|inf|infinity)\b",
    re.IGNORECASE,
)


def number_of_text(text: str) -> float | None:
    """The number that a text begins with; None where it begins with none."""
    match = NUMBER.match(text.strip())
    return float(match[0].replace(",", "")) if match else None
