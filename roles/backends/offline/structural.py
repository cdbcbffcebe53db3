"""What a structural edit is: a change to the code itself, kept as data with the function that makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from roles.backends.offline.canvas import Source, UnreadableCanvasError, parsed


@dataclass(frozen=True, slots=True)
class StructuralEdit:
    """One entry of the catalogue."""

    id: str
    title: str
    rationale: str  # why it might help, before anything is known here
    category: str
    prior: float  # expected gain in noise SDs before anything is known here: domain knowledge, weakly held
    transform: Callable[
        [Source], str | None
    ]  # the new text, None where it finds no anchor or is in place already

    def apply(self, text: str) -> str | None:
        """The canvas after the edit, or None when this canvas lacks what it changes (or has it already)."""
        try:
            result = self.transform(parsed(text))
            if result is None or result == text:
                return None
            parsed(result)
        except UnreadableCanvasError:
            return None
        return result
