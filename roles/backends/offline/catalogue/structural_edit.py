"""A structural edit: what it is, and beside it the function that finds its places in a source."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from roles.backends.offline.canvas import knob_changes, read_knobs
from roles.backends.offline.source import Changes, Source, UnreadableCanvasError, parsed, splice

# What it changes; None or nothing where the code lacks what it changes, or has it already.
FindChanges = Callable[[Source], Changes | None]


@dataclass(frozen=True, slots=True)
class StructuralEdit:
    """One entry of the catalogue."""

    id: str
    title: str
    rationale: str  # why it might help, before anything is known here
    category: str
    prior: float  # expected gain in noise SDs before anything is known here: domain knowledge, weakly held
    find_changes: FindChanges
    switch: str  # a knob by which a canvas may have it already; "": none

    # Kept: a search weighs every entry on the same canvas again for each plan.
    @lru_cache(maxsize=256)  # noqa: B019 - entries live as long as the process
    def apply(self, text: str) -> str | None:
        """The canvas after the edit, or None when this canvas lacks what it changes (or has it already)."""
        try:
            source = parsed(text)
            own_switch = self.switch and switch_state(source, self.switch) is not None
            changes = turned_on(source, self.switch) if own_switch else self.find_changes(source)
            result = splice(text, changes or ())
            parsed(result)
        except UnreadableCanvasError:
            return None
        return None if result == text else result


CATALOGUE: dict[str, StructuralEdit] = {}


def structural(
    id: str, title: str, category: str, *, prior: float, switch: str = ""
) -> Callable[[FindChanges], FindChanges]:
    """Puts a function into the catalogue; its docstring is the rationale."""

    def add(find_changes: FindChanges) -> FindChanges:
        rationale = find_changes.__doc__ or ""
        CATALOGUE[id] = StructuralEdit(id, title, rationale, category, prior, find_changes, switch)
        return find_changes

    return add


def switch_state(source: Source, name: str) -> bool | None:
    """How the canvas's own switch of this name stands; None when it has none that the code reads."""
    knob = read_knobs(source.text).get(name)
    if knob is None or not isinstance(knob.value, bool):
        return None
    mentions = sum(isinstance(node, ast.Name) and node.id == name for node in ast.walk(source.tree))
    return knob.value if mentions > 1 else None


def turned_on(source: Source, name: str) -> Changes | None:
    """The change that turns the canvas's own switch on; None when it is on."""
    return None if switch_state(source, name) else knob_changes(source.text, {name: True})
