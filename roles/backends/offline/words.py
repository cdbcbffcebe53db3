"""Words to edits: the few forms a person types that a search can follow."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from roles.backends.offline.canvas import Knob, Literal, read_knobs
from roles.backends.offline.catalogue import CATALOGUE
from roles.backends.offline.edits import CatalogueEdit, Edit, KnobEdit
from roles.backends.offline.knob_moves import KnobMove, choices

UNDERSTOOD = (
    "it reads only knobs (`KNOB = value`, `set KNOB to value`, `KNOB 2x`, `halve KNOB`) and its own catalogue"
)
_VALUE = (
    r"(?P<value>-?\d[\d_]*\.?\d*(?:e-?\d+)?(?![\w.]*[x×])|true|false|on|off|\"[^\"]*\"|'[^']*'|[A-Za-z]\w*)"
)
_TIMES = (
    r"(?:(?P<after>\d+(?:\.\d+)?)\s*[x×]|[x×*]\s*(?P<times>\d+(?:\.\d+)?)|[/÷]\s*(?P<over>\d+(?:\.\d+)?))"
)


def read_words(words: str, text: str) -> Edit | None:
    """The edit of the canvas `text` that the words ask for, or None when they ask for none it can read."""
    knobs = read_knobs(text)
    moves = tuple(move for knob in knobs.values() if (move := _move(words, knob, knobs)))
    if moves:
        return KnobEdit(moves)
    plain = _plain(words)
    for entry in CATALOGUE.values():
        if _plain(entry.title) in plain or re.search(rf"(^| ){_plain(entry.id)}( |$)", plain):
            return CatalogueEdit(entry.id)
    return None


def _plain(words: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", words.lower()).strip()


def _move(words: str, knob: Knob, knobs: Mapping[str, Knob]) -> KnobMove | None:
    name = rf"(?<!\w){re.escape(knob.name).replace('_', '[ _-]')}(?!\w)"
    if not re.search(name, words, re.IGNORECASE) or _is_inside_longer(words, knob, knobs):
        return None
    new = _scaled(words, name, knob) if not isinstance(knob.value, (str, bool)) else None
    if new is None:
        new = _assigned(words, name, knob)
    return None if new is None or new == knob.value else KnobMove.between(knob.name, knob.value, new)


def _is_inside_longer(words: str, knob: Knob, knobs: Mapping[str, Knob]) -> bool:
    """Whether every mention of `LR` is really one of `MATRIX LR`."""
    rest = words
    for other in knobs:
        if other != knob.name and knob.name in other:
            rest = re.sub(re.escape(other).replace("_", "[ _-]"), "", rest, flags=re.IGNORECASE)
    return not re.search(re.escape(knob.name).replace("_", "[ _-]"), rest, re.IGNORECASE)


def _scaled(words: str, name: str, knob: Knob) -> Literal | None:
    """`halve KNOB`, `double KNOB`, `KNOB 2x`, `KNOB x2`, `KNOB / 2`."""
    assert not isinstance(knob.value, str)
    for verb, factor in (("halve|half", 0.5), ("double|twice", 2)):
        if re.search(rf"({verb})\s+(?:the\s+)?{name}", words, re.IGNORECASE):
            return _typed(knob, knob.value * factor)
    match = re.search(rf"{name}\s*{_TIMES}", words, re.IGNORECASE)
    if not match:
        return None
    factor = float(match["after"] or match["times"] or 1) / float(match["over"] or 1)
    return _typed(knob, knob.value * factor)


def _assigned(words: str, name: str, knob: Knob) -> Literal | None:
    """`KNOB = value`, `set KNOB to value`, `KNOB 4096 → 2048`, `KNOB on`."""
    arrow = rf"{name}\s+[^\s=]+\s*(?:→|->)\s*{_VALUE}"
    separator = r"\s+(?:=|to)?\s*" if isinstance(knob.value, bool) else r"\s*(?:=|:|\bto\b|→|->)\s*"
    plain = rf"{name}{separator}{_VALUE}"
    match = re.search(arrow, words, re.IGNORECASE) or re.search(plain, words, re.IGNORECASE)
    if not match:
        return None
    word = match["value"]
    if isinstance(knob.value, bool):
        return {"true": True, "on": True, "false": False, "off": False}.get(word.lower())
    if isinstance(knob.value, str):
        bare = word.strip("\"'")
        return bare if bare in (choices(knob) or (bare,)) else None
    try:
        value = ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return _typed(knob, value)


def _typed(knob: Knob, value: float) -> Literal | None:
    """The value as the knob holds it; None for a fraction of an integer knob."""
    if isinstance(knob.value, int):
        return int(value) if value == int(value) else None
    return float(f"{value:.6g}")
