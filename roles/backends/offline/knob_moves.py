"""The moves that a knob can make: doublings, halvings, toggles and choices that make sense for what it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from roles.backends.offline.canvas import Knob, Literal, used_names, written
from roles.backends.offline.constraints import violated
from roles.backends.offline.source import is_python

# Moves here would change speed, memory or the question, not the answer.
_HANDS_OFF = re.compile(
    r"(^|_)(THREADS?|COMPILE|SEED|DEVICE|DTYPE|LOG|PRINT|VERBOSE|PATH|DIR|FILE|WORKERS|MAX_ROWS|VOCAB(_SIZE)?"
    r"|SEQ(_LEN)?|SEQUENCE_LENGTH|MAX_SEQ_LEN|BLOCK_SIZE|BUDGET|TIME(_BUDGET)?|EVAL\w*|STEPS|EPOCHS|PEAK_FLOPS)(_|$)"
)
# What a command's contract with the outside is made of, in any language.
_CONTRACT = re.compile(
    r"(^|_)(VERSION|PORT|HOST|URL|MAGIC|ABI|SEED|RANDOM_STATE|THREADS?|VERBOSE|DEBUG|LOG\w*|TIMEOUT\w*|REPEATS?"
    r"|EXIT\w*|ERRNO|GUARD|_H|YEAR)(_|$)"
)
_RATE = re.compile(r"(^|_)(LR|LRS|LEARNING_RATE)(_|$)")
_MEMORY = re.compile(r"(^|_)(BETA|BETA[12]|BETAS|MOMENTUM|EMA)(_|$)")
_WIDTH = re.compile(r"EMBD|D_MODEL|WIDTH|HIDDEN|DIM(_|$)")
_TYPICAL = re.compile(r"(?:typical|typically|try|usual|usually|e\.g\.)\s+(-?\d[\d.]*(?:e-?\d+)?)")
_ONLY_WITH = re.compile(r"only with (?:\"(\w+)\" in )?(\w+)")
_QUOTED = re.compile(r"\"([^\"]+)\"|'([^']+)'")


@dataclass(frozen=True, slots=True)
class KnobMove:
    """One knob from one value to another."""

    knob: str
    direction: str  # "up", "down", or "=value" where there is no order: what beliefs are kept on
    old: Literal
    new: Literal

    @classmethod
    def between(cls, knob: str, old: Literal, new: Literal) -> KnobMove:
        """The move from one value of a knob to another."""
        ordered = not isinstance(old, (str, bool)) and not isinstance(new, (str, bool))
        return cls(knob, ("up" if new > old else "down") if ordered else f"={new}", old, new)  # type: ignore[operator]

    @property
    def words(self) -> str:
        """For people: what changes."""
        return f"{self.knob} {written(self.old)} → {written(self.new)}"


def choices(knob: Knob) -> tuple[str, ...]:
    """What a text knob can be: the quoted words of its comment, if its present value is among them."""
    words = tuple(dict.fromkeys(first or second for first, second in _QUOTED.findall(knob.comment)))
    return words if knob.value in words else ()


def is_hands_off(name: str, *, training: bool = True) -> bool:
    """Whether a knob is about the measurement (of a training: speed and memory too): a move would teach nothing."""
    return bool(_CONTRACT.search(name.upper())) or (training and bool(_HANDS_OFF.search(name.upper())))


def is_dormant(knob: Knob, knobs: Mapping[str, Knob]) -> bool:
    """Whether its name or comment says that it serves another choice than the present one."""
    needs = _ONLY_WITH.search(knob.comment)
    if needs and (needed := knobs.get(needs[2])):
        if not needed.value:
            return True
        if needs[1] and needs[1] not in str(needed.value):
            return True
    words = re.findall(r"[A-Za-z]\w*", f"{knob.name.replace('_', ' ')} {knob.comment}".lower())
    for other in knobs.values():
        options = choices(other)
        if other.name == knob.name or not options:
            continue
        mentioned_options = {option for option in options if len(option) > 2 and option.lower() in words}
        if mentioned_options and other.value not in mentioned_options:
            return True
    return False


def moves_of(knob: Knob, text: str, knobs: Mapping[str, Knob]) -> tuple[KnobMove, ...]:
    """The sensible moves of one knob of the canvas `text`; those that break its own asserts are left out."""
    if (
        is_hands_off(knob.name, training=is_python(text))
        or is_dormant(knob, knobs)
        or knob.name not in used_names(text)
    ):
        return ()
    values = {name: other.value for name, other in knobs.items()}
    return tuple(
        KnobMove.between(knob.name, knob.value, value)
        for value in dict.fromkeys(_values(knob))
        if value != knob.value and violated(text, values | {knob.name: value}) is None
    )


def _values(knob: Knob) -> list[Literal]:
    match knob.value:
        case bool() as value:
            return [not value]
        case str():
            return list(choices(knob))
        case 0 | 0.0:
            return [_typical(knob)]
        case int() as value:
            return list(_integers(knob.name.upper(), value))
        case float() as value:
            return [_rounded(new) for new in _floats(knob, value)]
    return []


def _typical(knob: Knob) -> Literal:
    """What a knob that is off is first set to: what its comment calls typical, else a tenth (or one)."""
    match = _TYPICAL.search(knob.comment)
    number = float(match[1].rstrip(".")) if match else 0.1 if isinstance(knob.value, float) else 1
    return type(knob.value)(number) if number else number


def _integers(name: str, value: int) -> list[int]:
    if _WIDTH.search(name):
        return [value // 2, value * 3 // 4, value * 3 // 2, value * 2]
    if abs(value) <= 16:
        near = [value // 2, value - 1, value + 1, value * 2]
        return [new for new in near if new >= 1] if value > 0 else near
    return [value // 4, value // 2, value * 2, value * 4]


def _floats(knob: Knob, value: float) -> list[float]:
    name = knob.name.upper()
    if _MEMORY.search(name) and 0 < value < 1:
        return [1 - (1 - value) * 2, 1 - (1 - value) / 2] if value > 0.5 else [value / 2, value * 1.5]
    if _RATE.search(name):
        return [value / 4, value / 2, value * 2, value * 4]
    if value >= 1000:
        return [value / 10, value * 10]
    near = [value / 2, value * 2]
    if 0 < value <= 1 and re.search(r"WARM|FRACTION|RATIO|DROPOUT|FINAL", name):
        return [new for new in (*near, value * 4, (1 + value) / 2) if new <= 1]
    return [*near, 0.0] if "= off" in knob.comment else near


def _rounded(value: float) -> float:
    """Three digits are all that a move means."""
    return float(f"{value:.3g}")
