"""What is wrong with a configuration file, said in one line that names the place."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from supervisor.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
Place = tuple[str | int, ...]  # ("metric", "also", 0, "name")

PLAIN_WORDS = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": 'must be text in "quotes"',
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list in [brackets]",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "greater_than": "must be > {gt:g}",
    "greater_than_equal": "must be >= {ge:g}",
    "less_than": "must be < {lt:g}",
    "less_than_equal": "must be <= {le:g}",
    "enum": "must be {expected}",
}


def parse_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """The file's text and what it says. Raises ConfigError for an unreadable file or a syntax error."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        return text, tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{path.name}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name}: not UTF-8 text at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        message, _, position = str(error).partition(" (at ")
        line = position.removeprefix("line ").partition(",")[0]
        if not line.isdigit():  # "at end of document"
            line = str(max(1, len(text.splitlines())))
        raise ConfigError(f"{path.name}:{line}: {message[:1].lower()}{message[1:]}") from error


def validated(model: type[Model], path: Path, text: str, data: Mapping[str, Any]) -> Model:
    """`data` as a `model`. Raises ConfigError for the first thing wrong, in the file's order."""
    try:
        # Through JSON: there a strict model takes lists for tuples and words for enums, nothing else loosely.
        return model.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        lines = _lines_of(text)
        details = error.errors()
        problems = sorted((_line_of(lines, detail["loc"]), _describe(model, detail)) for detail in details)
        rest = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        line, words = problems[0]
        raise ConfigError(f"{path.name}:{line}: {words}{rest}") from None


def _describe(model: type[BaseModel], detail: ErrorDetails) -> str:
    place = tuple(detail["loc"])
    item = f", item {place[-1] + 1}" if isinstance(place[-1], int) else ""
    if item:
        place = place[:-1]
    tables, key = place[:-1], f"{place[-1]}{item}"
    table = ".".join(part for part in tables if isinstance(part, str))
    where = f"[{table}] {key}" if table else f"[{key}]"
    if detail["type"] == "extra_forbidden":
        return f"{where}: {_unknown(model, tables, key)}"
    context = dict(detail.get("ctx", {}))
    if detail["type"] == "value_error":
        return f"{where}: {context['error']}"
    words = PLAIN_WORDS.get(detail["type"], detail["msg"]).format_map(context)
    value = detail["input"]
    is_plain = detail["type"] != "missing" and not isinstance(value, dict | list)
    value_text = f" (got {_as_toml(value)})" if is_plain else ""
    return f"{where}: {words}{value_text}"


def _as_toml(value: object) -> str:
    is_plain = isinstance(value, str | bool | int | float)
    return json.dumps(value, ensure_ascii=False) if is_plain else str(value)


def _unknown(model: type[BaseModel], tables: Sequence[str | int], key: str) -> str:
    known = list(_model_at(model, tables).model_fields)
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return "unknown key; " + (f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(known)}")


def _model_at(model: type[BaseModel], tables: Sequence[str | int]) -> type[BaseModel]:
    for part in tables:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        inner = [annotation, *getattr(annotation, "__args__", ())]
        model = next(kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel))
    return model


def _line_of(lines: Mapping[Place, int], place: Sequence[str | int]) -> int:
    """The line of the place itself, else of the nearest table around it that the file spells out."""
    for end in range(len(place), 0, -1):
        if (line := lines.get(tuple(place[:end]))) is not None:
            return line
    return 1


def _lines_of(text: str) -> dict[Place, int]:
    """Where each table and key of a valid TOML text begins, counted from 1; tomllib does not tell."""
    lines: dict[Place, int] = {}
    table: Place = ()
    lengths: dict[Place, int] = {}
    for number, statement in _statements(text):
        if statement.lstrip().startswith("["):
            table = _path_of(tomllib.loads(statement))
            if table[-1:] == (0,):  # [[…]]: the n-th of its name
                name = table[:-1]
                table = (*name, lengths.get(name, 0))
                lengths[name] = lengths.get(name, 0) + 1
            lines.setdefault(table, number)
        else:
            path = _path_of(tomllib.loads(statement))
            for end in range(1, len(path) + 1):
                lines.setdefault((*table, *path[:end]), number)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each header and each `key = value`, over as many lines as it takes, with its first line's number."""
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not pending:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            start = number
        pending += line + "\n"
        try:
            tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue
        yield start, pending
        pending = ""


def _path_of(data: object) -> Place:
    """The single path that one statement spells: its nested tables down to the value."""
    path: list[str | int] = []
    while isinstance(data, dict | list) and len(data) == 1:
        if isinstance(data, list):
            if not isinstance(data[0], dict) or data[0]:
                break
            path.append(0)
            break
        key = next(iter(data))
        path.append(key)
        data = data[key]
    return tuple(path)
