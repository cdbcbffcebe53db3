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

from tui.views.text import plain, plain_lines, wrap

if TYPE_CHECKING:
    from rich.console import Console

# Rises when a script that reads any of the JSON would have to be changed.
SCHEMA = 1
FACT_INDENT = 13
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


def say_fact(name: str, value: str) -> None:
    """A name and what it says, beside it; in a terminal long texts are broken between words."""
    head = f"{name + ':':<{FACT_INDENT}}"
    if not in_terminal():
        print(head + plain(value))
        return
    lines = wrap(plain(value), max(20, console().width - FACT_INDENT))
    for number, line in enumerate(lines or [""]):
        console().print((head if number == 0 else " " * FACT_INDENT) + line, soft_wrap=True)


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
    """One JSON object, with its schema; everything outside ASCII is escaped, control characters among it."""
    record = {"schema": SCHEMA} | dict(value)
    print(json.dumps(record, indent=None if one_line else 2, allow_nan=False, default=str), flush=one_line)


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

    widths = _fitting_widths(columns, cells, console().width)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, GAP, 0, 0))
    for index, width in widths.items():
        column = columns[index]
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            style=column.style or None,
            width=width,
        )
    for row in cells:
        table.add_row(*(Text(row[index]) for index in widths))
    console().print(table)


def _fitting_widths(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> dict[int, int]:
    """The columns that a table of that width has room for, with the width of each."""
    from rich.cells import cell_len

    natural = {
        index: max(cell_len(text) for text in (column.title, *(row[index] for row in cells)))
        for index, column in enumerate(columns)
    }
    least = {index: min(size, LEAST_WIDE) if columns[index].wide else size for index, size in natural.items()}
    while (room := width - sum(size + GAP for size in least.values())) < 0:
        spare = max(least, key=lambda index: columns[index].spare)
        if not columns[spare].spare:
            break
        del least[spare]
    for index in least:
        if columns[index].wide:
            narrow, least[index] = least[index], max(1, min(natural[index], least[index] + room))
            room -= least[index] - narrow
    return least


def _diff_style(line: str) -> str | None:
    match line[:2]:
        case "++" | "--":
            return "bold"
        case "@@":
            return "cyan"
    return {"+": "green", "-": "red"}.get(line[:1])
