"""How the catalogues say an edit: pieces of the canvas replaced by others."""

from __future__ import annotations

from dataclasses import dataclass

# Places of training/train.py that edits hang on.
IMPORTS = "\nimport prepare\n"
START = "    progress = ProgressLine()\n"
STEP = "        loss = compute_loss(model, x, y)\n"
END = "    progress.close()\n"
FINISH = "    prepare.finish(model)\n"
MASK = "is_causal=mask is None"
FORWARD = "        T = tokens.size(1)\n"
LOGITS = "        return logits\n\n\n# -"
EMBED = "        x = self.embedding(tokens)\n"


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit of the canvas."""

    id: str
    what: str
    changes: tuple[tuple[str, str], ...]  # what is there, and what stands in its place

    def apply(self, source: str) -> str:
        """The canvas with the edit made. Raises ValueError where it does not fit."""
        for old, new in self.changes:
            if source.count(old) < 1:
                raise ValueError(f"{self.id}: there is no {old!r}")
            source = source.replace(old, new, 1)
        return source


def edit(identifier: str, what: str, *changes: tuple[str, str]) -> Edit:
    """An edit of several pieces."""
    return Edit(identifier, what, changes)


def importing(*names: str) -> tuple[str, str]:
    """More imports."""
    lines = "".join(f"import {name}\n" for name in names)
    return IMPORTS, f"\n{lines}import prepare\n"


def before(place: str, code: str) -> tuple[str, str]:
    """Code in front of a place, at that place's depth."""
    depth = len(place) - len(place.lstrip(" "))
    lines = "".join(f"{' ' * depth}{line}\n" if line else "\n" for line in code.strip("\n").split("\n"))
    return place, lines + place
