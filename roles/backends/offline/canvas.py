"""The knobs of a canvas: the numbers and words at its head, and how they are set."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from roles.backends.offline.source import Changes, Span, is_python, parsed, splice
from roles.backends.offline.text_canvas import named_numbers

Literal = int | float | str | bool
# What makes a file more than a list of settings.
_ACTS = (
    *(ast.Assert, ast.Call, ast.Import, ast.ImportFrom),
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.While),
)


@dataclass(frozen=True, slots=True)
class Knob:
    """One `NAME = literal` at the top level of a canvas."""

    name: str
    value: Literal
    span: Span  # of the literal
    comment: str  # beside it, without the #


def read_knobs(text: str) -> dict[str, Knob]:
    """The knobs of a canvas by name: its UPPER_CASE literals, or every top-level number when it has none.

    Of text that is no Python: the numbers that a line gives a name.
    Raises UnreadableCanvasError when it is neither. An empty result: nothing here can be turned.
    """
    return {knob.name: knob for knob in _read_knobs(text)}


@lru_cache(maxsize=64)
def _read_knobs(text: str) -> tuple[Knob, ...]:
    if not is_python(text):
        numbers = named_numbers(text)
        if not numbers:
            parsed(text)  # raises, unless it is Python that says nothing
        return tuple(Knob(n.name, n.value, Span(n.start, n.end), n.comment) for n in numbers)
    source = parsed(text)
    comments = source.comments()
    assigned = dict(_assignments(source.tree))
    upper = {name: node for name, node in assigned.items() if name.isupper() and not name.startswith("_")}
    upper_has_numbers = any(_is_number(_literal(node)) for node in upper.values())
    knobs = []
    for name, node in (upper if upper_has_numbers else assigned).items():
        value = _literal(node)
        if value is None or (name not in upper and not _is_number(value)):
            continue
        knobs.append(Knob(name, value, source.span(node), comments.get(node.end_lineno or 0, "")))
    return tuple(knobs)


def _assignments(tree: ast.Module) -> Iterable[tuple[str, ast.expr]]:
    """Top-level `name = …` and `name: type = …`; one that is assigned twice, or counted up, is no knob."""
    values: dict[str, ast.expr] = {}
    counted = (node.target for node in ast.walk(tree) if isinstance(node, ast.AugAssign))
    twice = {target.id for target in counted if isinstance(target, ast.Name)}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case _:
                continue
        if name in values:
            twice.add(name)
        values[name] = value
    return [(name, value) for name, value in values.items() if name not in twice]


def _literal(node: ast.expr) -> Literal | None:
    """A plain literal; products and powers of numbers such as `2**15` and `8 * 1024` count as one."""
    try:
        value = ast.literal_eval(node)
    except ValueError:
        value = _arithmetic(node)
    return value if isinstance(value, (int, float, str)) else None


def _is_number(value: Literal | None) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _arithmetic(node: ast.expr) -> Literal | None:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.BinOp(left=left, op=ast.Mult() | ast.Pow() as op, right=right):
            first, second = _arithmetic(left), _arithmetic(right)
            if not isinstance(first, (int, float)) or not isinstance(second, (int, float)):
                return None
            if isinstance(op, ast.Mult):
                return first * second
            power = first**second if abs(second) <= 64 and abs(first) <= 1024 else None
            return power if isinstance(power, (int, float)) else None
    return None


@lru_cache(maxsize=16)
def used_names(text: str) -> frozenset[str]:
    """The names that the code reads anywhere but in its top-level asserts; of other languages all that it has."""
    if not is_python(text):
        return frozenset(number.name for number in named_numbers(text))
    tree = parsed(text).tree
    if not any(isinstance(node, _ACTS) for node in ast.walk(tree)):  # a file of settings: others read it
        return frozenset(name for name, _ in _assignments(tree))
    body = [node for node in tree.body if not isinstance(node, ast.Assert)]
    return frozenset(
        name.id
        for node in body
        for name in ast.walk(node)
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Load)
    )


def written(value: Literal) -> str:
    """`value` as a person would write it at the head of a file."""
    if isinstance(value, str):
        return f'"{value}"' if '"' not in value and "\\" not in value else repr(value)
    return f"{value:.6g}" if isinstance(value, float) and _plain(value) else repr(value)


def _plain(value: float) -> bool:
    """Whether six digits say it and it still reads as a float."""
    text = f"{value:.6g}"
    return ("." in text or "e" in text) and "inf" not in text and "nan" not in text


def knob_changes(text: str, values: Mapping[str, Literal]) -> Changes | None:
    """The changes that set those knobs, comments and layout kept; None when the canvas lacks one of them."""
    knobs = read_knobs(text)
    if not values.keys() <= knobs.keys():
        return None
    return [(knobs[name].span, written(value)) for name, value in values.items()]


def set_knobs(text: str, values: Mapping[str, Literal]) -> str | None:
    """`text` with those knobs at those values; None when it lacks one of them."""
    changes = knob_changes(text, values)
    return None if changes is None else splice(text, changes)
