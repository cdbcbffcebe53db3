"""The fields of a dataclass as the columns of a table, read and written by the type of each field."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import cache, partial
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from sessions.runs.contract import from_json
from supervisor.model import ids
from supervisor.store.connection import Connection

T = TypeVar("T")
Source = str | tuple[Callable[..., Any], *tuple[str, ...]]


class _Column(NamedTuple):
    """Where a field is stored; without a function its value is stored as it is."""

    name: str
    read: Callable[[Any], Any] | None = None
    write: Callable[[Any], Any] | None = None


def read(
    db: Connection, kind: Callable[..., T], query: str, parameters: Iterable[Any] = (), **sources: Source
) -> tuple[T, ...]:
    """The rows of `query`, which begins at its FROM, as records of the dataclass `kind`.

    A field has the value of the column of its name. `sources` says otherwise: another SQL expression, or a function
    and the expressions that it is called with.
    """
    columns = _columns(kind)
    expressions = ["NULL"] * len(columns)
    converters: list[tuple[int, Callable[[Any], Any]]] = []
    functions: list[tuple[int, Callable[..., Any], slice]] = []
    for position, (field, column) in enumerate(columns.items()):
        source = sources.get(field, column.name)
        if isinstance(source, tuple):
            start = len(expressions)
            expressions += source[1:]
            functions.append((position, source[0], slice(start, len(expressions))))
        else:
            expressions[position] = source
            if column.read is not None:
                converters.append((position, column.read))
    cursor = db.execute(f"SELECT {', '.join(expressions)} {query}", tuple(parameters))
    cursor.row_factory = None
    records = []
    for row in cursor:
        values = list(row)
        for position, convert in converters:
            values[position] = convert(values[position])
        for position, function, arguments in functions:
            values[position] = function(*values[arguments])
        records.append(kind(*values[: len(columns)]))
    return tuple(records)


def columns_of(record: Any, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of a record by column, as they are stored."""
    kind: Any = type(record)
    columns = {}
    for field, column in _columns(kind).items():
        if field not in without:
            value = getattr(record, field)
            columns[column.name] = column.write(value) if column.write and value is not None else value
    return columns


def insert(db: Connection, table: str, columns: Mapping[str, Any] | None = None, **more: Any) -> int:
    """A new row with these columns; returns its number."""
    values = {**(columns or {}), **more}
    marks = ", ".join("?" * len(values))
    statement = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"
    return db.execute(statement, tuple(values.values())).lastrowid or 0


def update(
    db: Connection,
    table: str,
    where: Mapping[str, Any],
    columns: Mapping[str, Any] | None = None,
    **more: Any,
) -> int:
    """Set columns of every row that is as `where` says, a set there being a choice; returns how many there were."""
    values = {**(columns or {}), **more}
    settings = ", ".join(f"{column} = ?" for column in values)
    conditions, parameters = [], list(values.values())
    for column, value in where.items():
        choice = sorted(value) if isinstance(value, frozenset) else [value]
        conditions.append(f"{column} IN ({', '.join('?' * len(choice))})")
        parameters += choice
    return db.execute(f"UPDATE {table} SET {settings} WHERE {' AND '.join(conditions)}", parameters).rowcount


@cache
def _columns(kind: Any) -> dict[str, _Column]:
    return {name: _column(name, hint) for name, hint in _hints(kind).items()}


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: _without_none(hints[field.name]) for field in dataclasses.fields(kind)}


def _without_none(hint: Any) -> Any:
    if get_origin(hint) not in (UnionType, Union):
        return hint
    return next(option for option in get_args(hint) if option is not NoneType)


def _column(field: str, hint: Any) -> _Column:
    # "commit" is a word of SQL.
    name = "commit_sha" if field == "commit" else field
    member = next(iter(get_args(hint)), None)
    if hint in (str, int, float):
        return _Column(name)
    if hint is bool:
        return _Column(name, {None: None, 0: False, 1: True}.__getitem__)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _Column(name, {None: None, **{choice.value: choice for choice in hint}}.__getitem__)
    if get_origin(hint) is Annotated:
        id_of = hint.__metadata__[0]
        return _Column(name, lambda number: None if number is None else id_of(number), ids.number_of)
    if get_origin(member) is Annotated:
        return _Column(name, lambda text: tuple(text.split()), " ".join)
    empty: Any = () if get_origin(hint) is tuple else {} if get_origin(hint) else None
    # Nearly all are "", "[]" or NULL.
    is_empty = {None, "", "[]", "{}"}.__contains__
    return _Column(
        name,
        lambda text: empty if is_empty(text) else from_json(json.loads(text), hint),
        partial(json.dumps, default=dataclasses.asdict),
    )
