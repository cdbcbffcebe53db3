"""Printing for people and for scripts: tables in a terminal, tab-separated lines elsewhere, JSON on request.

Texts of models, logs and boxes reach these functions raw and leave them without control characters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from tui.plain import plain, plain_lines

if TYPE_CHECKING:
    from rich.console import Console

GAP = 2  # cells between two columns
LEAST_WIDE = 16  # cells that a wide column has at least


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    right: bool = False
    wide: bool = False  # takes what the others leave, and is cut first
    style: str = ""
    spare: int = 0  # in a narrow terminal the columns with the highest number go first; 0 stays


@cache
def console() -> Console:
    """Where people read; rich honours NO_COLOR and plain terminals by itself."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False, emoji=False, markup=False)


def in_terminal() -> bool:
    """Whether a person watches standard output."""
    return sys.stdout.isatty()


def say(text: str, style: str = "") -> None:
    """One line of plain text."""
    line = " ".join(plain_lines(text))
    if in_terminal():
        console().print(line, style=style or None, soft_wrap=True)
    else:
        print(line)


def say_lines(text: str) -> None:
    """A text of many lines, control characters taken out."""
    for line in plain_lines(text):
        if in_terminal():
            console().print(line, soft_wrap=True)
        else:
            print(line)


def say_diff(text: str) -> None:
    """A unified diff: coloured and made safe in a terminal, byte for byte elsewhere, so that it applies."""
    if not in_terminal():
        sys.stdout.write(text)
        return
    for line in plain_lines(text):
        console().print(line, style=_diff_style(line), soft_wrap=True)


def print_json(value: Mapping[str, Any], *, one_line: bool = False) -> None:
    """One JSON object; everything outside ASCII is escaped, control characters among it."""
    print(json.dumps(value, indent=None if one_line else 2, allow_nan=False, default=str), flush=one_line)


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]], empty: str) -> None:
    """A table for people; tab-separated with a header line when piped; `empty` when there are no rows."""
    cells = [[plain(cell) for cell in row] for row in rows]
    if not in_terminal():
        print("\t".join(column.title for column in columns))
        for row in cells:
            print("\t".join(row))
        return
    if not cells:
        say(empty, style="dim")
        return
    from rich.table import Table
    from rich.text import Text

    shown = _columns_that_fit(columns, cells, console().width)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, GAP, 0, 0))
    for column in (columns[index] for index in shown):
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            style=column.style or None,
            min_width=None if column.wide else len(column.title),
            ratio=1 if column.wide else None,
        )
    for row in cells:
        table.add_row(*(Text(row[index]) for index in shown))
    console().print(table)


def _columns_that_fit(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """The columns that a table of that width has room for."""
    from rich.cells import cell_len

    natural = [
        max(cell_len(text) for text in (column.title, *(row[i] for row in cells)))
        for i, column in enumerate(columns)
    ]
    needed = [
        min(size, LEAST_WIDE) if column.wide else size for size, column in zip(natural, columns, strict=True)
    ]
    shown = list(range(len(columns)))
    while sum(needed[index] + GAP for index in shown) > width:
        spare = max(shown, key=lambda index: columns[index].spare)
        if not columns[spare].spare:
            break
        shown.remove(spare)
    return shown


def _diff_style(line: str) -> str | None:
    match line[:2]:
        case "++" | "--":
            return "bold"
        case "@@":
            return "cyan"
    return {"+": "green", "-": "red"}.get(line[:1])
