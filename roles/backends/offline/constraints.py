"""What a canvas itself demands of its knobs: its top-level asserts, worked out without running it."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from roles.backends.offline.canvas import Literal
from roles.backends.offline.source import is_python, parsed

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, items: item in items,
}


class _UnknownError(Exception):
    """The expression needs more than knobs and arithmetic."""


def violated(text: str, values: Mapping[str, Literal]) -> str | None:
    """The first top-level assert of a canvas that these knob values break, as written; None when all hold.

    An assert that needs more than knobs and plain arithmetic says nothing.
    """
    for node in parsed(text).tree.body if is_python(text) else ():
        if isinstance(node, ast.Assert):
            try:
                holds = _value(node.test, values)
            except (_UnknownError, ZeroDivisionError, TypeError):
                continue
            if not holds:
                return ast.unparse(node.test)
    return None if _heads_divide(values) else "heads divide the width"


def _heads_divide(values: Mapping[str, Literal]) -> bool:
    """The one demand that many canvases leave unsaid: attention splits the width into whole heads."""
    lower = {name.lower(): value for name, value in values.items()}
    width = next((lower[name] for name in ("n_embd", "d_model", "dim", "width") if name in lower), None)
    heads = next((lower[name] for name in ("n_head", "n_heads", "num_heads", "heads") if name in lower), None)
    if not isinstance(width, int) or not isinstance(heads, int):
        return True
    return heads > 0 and width % heads == 0


def _value(node: ast.expr, values: Mapping[str, Literal]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name in values:
            return values[name]
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            return [_value(item, values) for item in items]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left, values), _value(right, values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, values)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, values)
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(part, values) for part in parts)
        case ast.BoolOp(op=ast.Or(), values=parts):
            return any(_value(part, values) for part in parts)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            return _chain([_value(part, values) for part in (left, *comparators)], ops)
    raise _UnknownError


def _chain(parts: list[Any], ops: list[ast.cmpop]) -> bool:
    for first, op, second in zip(parts[:-1], ops, parts[1:], strict=True):
        if type(op) not in _COMPARE:
            raise _UnknownError
        if not _COMPARE[type(op)](first, second):
            return False
    return True
