"""What a hypothesis of this backend carries: one edit, as JSON that any later canvas can be asked to take."""

from __future__ import annotations

import json
from dataclasses import dataclass

from roles.backends.offline.canvas import read_knobs, set_knobs, written
from roles.backends.offline.catalogue import CATALOGUE
from roles.backends.offline.constraints import violated
from roles.backends.offline.knob_moves import KnobMove


class NotApplicableError(Exception):
    """The canvas cannot take this edit; the text says why."""


@dataclass(frozen=True, slots=True)
class KnobEdit:
    """Knobs moved together; nearly always one."""

    moves: tuple[KnobMove, ...]

    @property
    def arms(self) -> tuple[str, ...]:
        """What beliefs are kept on: each knob with its direction."""
        return tuple(f"{move.knob} {move.direction}" for move in self.moves)

    @property
    def subject(self) -> str:
        """What it is about; two hypotheses of a plan differ in it."""
        return self.moves[0].knob

    @property
    def words(self) -> str:
        """The change for people."""
        return ", ".join(move.words for move in self.moves)

    def apply(self, text: str) -> str:
        """The canvas with the knobs at their new values. Raises NotApplicableError."""
        knobs = read_knobs(text)
        new = {move.knob: move.new for move in self.moves}
        for name in new:
            if name not in knobs:
                raise NotApplicableError(f"this canvas has no knob {name}")
        if all(knobs[name].value == value for name, value in new.items()):
            raise NotApplicableError(f"{', '.join(f'{k} is already {written(v)}' for k, v in new.items())}")
        broken = violated(text, {name: knob.value for name, knob in knobs.items()} | new)
        if broken:
            raise NotApplicableError(f"{self.words} breaks the canvas's own rule: {broken}")
        result = set_knobs(text, new)
        assert result is not None
        return result


@dataclass(frozen=True, slots=True)
class CatalogueEdit:
    """A structural edit, by its id."""

    id: str

    @property
    def arms(self) -> tuple[str, ...]:
        """What beliefs are kept on."""
        return (f"edit {self.id}",)

    @property
    def subject(self) -> str:
        """What it is about; two hypotheses of a plan differ in it."""
        return f"edit {CATALOGUE[self.id].category}"

    @property
    def words(self) -> str:
        """The change for people."""
        return CATALOGUE[self.id].title

    def apply(self, text: str) -> str:
        """The canvas after the edit. Raises NotApplicableError."""
        result = CATALOGUE[self.id].apply(text)
        if result is None:
            raise NotApplicableError(f'this canvas lacks what "{self.words}" changes, or has it already')
        return result


Edit = KnobEdit | CatalogueEdit


def to_json(edit: Edit) -> str:
    """The edit as a hypothesis carries it."""
    if isinstance(edit, CatalogueEdit):
        return json.dumps({"catalogue": edit.id})
    entries = [{"name": m.knob, "direction": m.direction, "old": m.old, "new": m.new} for m in edit.moves]
    return json.dumps({"knobs": entries})


def from_json(text: str) -> Edit | None:
    """The edit in a hypothesis, or None when it is another backend's, a person's, or from another version."""
    try:
        data = json.loads(text)
    except ValueError:
        return None
    match data:
        case {"catalogue": str(id)} if id in CATALOGUE:
            return CatalogueEdit(id)
        case {"knobs": [*entries]} if entries:
            moves = tuple(move for entry in entries if (move := _move(entry)))
            return KnobEdit(moves) if len(moves) == len(entries) else None
    return None


def _move(entry: object) -> KnobMove | None:
    match entry:
        case {
            "name": str(name),
            "direction": str(direction),
            "old": bool() | int() | float() | str() as old,
            "new": bool() | int() | float() | str() as new,
        }:
            return KnobMove(name, direction, old, new)
    return None
