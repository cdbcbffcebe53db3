"""A canvas as parsed Python: its nodes as places in the text, and changes by them that touch nothing else."""

from __future__ import annotations

import ast
import io
import textwrap
import tokenize
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open stretch of a source, in characters."""

    start: int
    end: int


Change = tuple[Span, str]
Changes = Sequence[Change]


class UnreadableCanvasError(Exception):
    """The file is not Python that parses; the text says where."""


class Source:
    """A parsed canvas: positions of `ast` nodes as character offsets, and changes by them."""

    def __init__(self, text: str) -> None:
        try:
            self.tree = ast.parse(text)
        except (SyntaxError, ValueError) as error:
            raise UnreadableCanvasError(f"it is not Python that parses ({error})") from error
        self.text = text
        # Lines as `ast` counts them: no form feeds.
        self._lines = list(io.StringIO(text, newline=""))
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
        start = self.offset(node.lineno, node.col_offset)
        return Span(start, self.offset(node.end_lineno, node.end_col_offset))

    def line_span(self, node: ast.stmt) -> Span:
        """The whole lines of `node`, from the indentation to the last newline."""
        assert node.end_lineno is not None
        return Span(self._starts[node.lineno - 1], self._starts[node.end_lineno])

    def indent(self, node: ast.stmt) -> str:
        """The white space before `node`."""
        line = self._lines[node.lineno - 1]
        return line[: len(line) - len(line.lstrip())]

    def code(self, node: ast.stmt | ast.expr) -> str:
        """The text of `node` as it stands."""
        span = self.span(node)
        return self.text[span.start : span.end]

    def replaced(self, statement: ast.stmt, code: str) -> Change:
        """The change that puts `code` (dedented lines) in the place of a statement's lines."""
        return self.line_span(statement), self._indented(statement, code)

    def inserted_after(self, statement: ast.stmt, code: str) -> Change:
        """The change that puts `code` after a statement, at its indentation."""
        end = self.line_span(statement).end
        return Span(end, end), self._indented(statement, code)

    def inserted_before(self, statement: ast.stmt, code: str) -> Change:
        """The change that puts `code` before a statement, at its indentation."""
        start = self.line_span(statement).start
        return Span(start, start), self._indented(statement, code)

    def comments(self) -> dict[int, str]:
        """Line number to the comment that ends it."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return {
            token.start[0]: token.string.lstrip("#").strip()
            for token in tokens
            if token.type == tokenize.COMMENT
        }

    def _indented(self, statement: ast.stmt, code: str) -> str:
        return textwrap.indent(code.rstrip("\n") + "\n", self.indent(statement))


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


def splice(text: str, changes: Iterable[Change]) -> str:
    """`text` with each span replaced; the spans do not overlap."""
    for span, replacement in sorted(changes, key=lambda change: change[0].start, reverse=True):
        text = text[: span.start] + replacement + text[span.end :]
    return text


@lru_cache(maxsize=256)
def normalised(text: str) -> str:
    """The code alone, without comments and layout; of other languages without layout."""
    if not is_python(text):
        return "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())
    return ast.unparse(parsed(text).tree)
