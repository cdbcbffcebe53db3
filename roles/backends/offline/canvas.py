"""Reading a canvas: its knobs, their exact places in the source, and edits that touch nothing else."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from roles.backends.offline.text_canvas import named_numbers

Literal = int | float | str | bool
_ACTS = (
    ast.Assert,
    ast.Call,
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.For,
    ast.While,
)


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open stretch of a source, in characters."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Knob:
    """One `NAME = literal` at the top level of a canvas."""

    name: str
    value: Literal
    span: Span  # of the literal
    comment: str  # beside it, without the #


class UnreadableCanvasError(Exception):
    """The file is not Python that parses; the text says where."""


class Source:
    """A parsed canvas: positions of `ast` nodes as character offsets, and edits by them."""

    def __init__(self, text: str) -> None:
        try:
            self.tree = ast.parse(text)
        except (SyntaxError, ValueError) as error:
            raise UnreadableCanvasError(f"it is not Python that parses ({error})") from error
        self.text = text
        self._lines = list(io.StringIO(text, newline=""))  # lines as `ast` counts them: no form feeds
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def offset(self, line: int, column: int) -> int:
        """Characters before (1-based line, column in UTF-8 bytes), as `ast` counts them."""
        head = self._lines[line - 1].encode()[:column].decode()
        return self._starts[line - 1] + len(head)

    def span(self, node: ast.stmt | ast.expr) -> Span:
        """Where `node` stands."""
        assert node.end_lineno is not None and node.end_col_offset is not None
        return Span(
            self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno, node.end_col_offset)
        )

    def line_span(self, node: ast.stmt) -> Span:
        """The whole lines of `node`, from the indentation to the last newline."""
        assert node.end_lineno is not None
        return Span(self._starts[node.lineno - 1], self._starts[node.end_lineno])

    def indent(self, node: ast.stmt) -> str:
        """The white space before `node`."""
        line = self._lines[node.lineno - 1]
        return line[: len(line) - len(line.lstrip())]

    def comments(self) -> dict[int, str]:
        """Line number to the comment that ends it."""
        found = {}
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.COMMENT:
                found[token.start[0]] = token.string.lstrip("#").strip()
        return found


@lru_cache(maxsize=64)
def parsed(text: str) -> Source:
    """The source of `text`, kept: a search asks for the same few over and over. Its tree is read-only."""
    return Source(text)


@lru_cache(maxsize=64)
def is_python(text: str) -> bool:
    """Whether it parses and does something: a header full of #define is Python too, all of it comments."""
    try:
        return bool(parsed(text).tree.body)
    except UnreadableCanvasError:
        return False


def splice(text: str, changes: Iterable[tuple[Span, str]]) -> str:
    """`text` with each span replaced; the spans do not overlap."""
    for span, replacement in sorted(changes, key=lambda change: change[0].start, reverse=True):
        text = text[: span.start] + replacement + text[span.end :]
    return text


def read_knobs(text: str) -> dict[str, Knob]:
    """The knobs of a canvas by name: its UPPER_CASE literals, or every top-level number when it has none.

    Of text that is no Python: the numbers that a line gives a name.
    Raises UnreadableCanvasError when it is neither. An empty result: nothing here can be stepped.
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
    settles = any(_is_number(_literal(node)) for node in upper.values())
    knobs = []
    for name, node in (upper if settles else assigned).items():
        value = _literal(node)
        if value is None or (name not in upper and not _is_number(value)):
            continue
        knobs.append(Knob(name, value, source.span(node), comments.get(node.end_lineno or 0, "")))
    return tuple(knobs)


def _assignments(tree: ast.Module) -> Iterable[tuple[str, ast.expr]]:
    """Top-level `name = …` and `name: type = …`; one that is assigned twice, or counted up, is no knob."""
    found: dict[str, ast.expr] = {}
    counted = (node.target for node in ast.walk(tree) if isinstance(node, ast.AugAssign))
    twice = {target.id for target in counted if isinstance(target, ast.Name)}
    for node in tree.body:
        target: ast.expr | None = None
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            target, value = node.target, node.value
        if isinstance(target, ast.Name):
            if target.id in found:
                twice.add(target.id)
            found[target.id] = value
    return [(name, value) for name, value in found.items() if name not in twice]


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


def set_knobs(text: str, values: Mapping[str, Literal]) -> str | None:
    """`text` with those knobs at those values, comments and layout kept; None when it lacks one of them."""
    knobs = read_knobs(text)
    if not values.keys() <= knobs.keys():
        return None
    return splice(text, [(knobs[name].span, written(value)) for name, value in values.items()])


def normalised(text: str) -> str:
    """The code alone, without comments and layout; of other languages without layout."""
    if not is_python(text):
        return "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())
    return ast.unparse(parsed(text).tree)
