"""The tiny language in which a spec says where things stand in a client's events.

    type=result & is_error=false | message.content[type=text].text

Before the bar: conditions, a dotted path equal to a value, all of which must hold. Behind it: the dotted path of
what is wanted. `name[]` goes through a list, `name[key=value]` through those of its elements that have this. Values
are JSON (`false`, `3`) or plain words. Without a bar it is conditions alone when it holds a `=`, else a path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_PART = re.compile(r"(?P<name>[^.\[\]=&|\s]+)(?P<list>\[(?:(?P<key>[\w.-]+)=(?P<value>[^\]]*))?\])?")


class SelectorError(ValueError):
    """A selector that can't be read."""


@dataclass(frozen=True, slots=True)
class PathPart:
    """One part of a path."""

    name: str
    is_list: bool = False
    key: str = ""
    value: object = None


Path = tuple[PathPart, ...]


@dataclass(frozen=True, slots=True)
class Selector:
    """Which events, and what of them."""

    conditions: tuple[tuple[Path, object], ...]
    path: Path  # (): the event itself

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Whether all conditions hold."""
        return all(any(_same(v, value) for v in _walk(event, path)) for path, value in self.conditions)

    def values(self, event: Mapping[str, Any]) -> list[Any]:
        """What it selects in this event, in order; nothing when a condition fails."""
        return [v for v in _walk(event, self.path) if v is not None] if self.matches(event) else []


@lru_cache(maxsize=512)
def parse_selector(text: str) -> Selector:
    """Raises SelectorError, in one line."""
    head, bar, tail = text.partition("|")
    if not bar and not _split_condition(head)[1]:
        head, tail = "", head
    conditions = []
    for part in filter(None, (each.strip() for each in head.split("&"))):
        left, equals, right = _split_condition(part)
        if not equals:
            raise SelectorError(f"{part!r} is no condition: path=value")
        conditions.append((parse_path(left), _value(right)))
    return Selector(tuple(conditions), parse_path(tail.strip()) if tail.strip() else ())


def parse_path(text: str) -> Path:
    """A dotted path. Raises SelectorError."""
    parts, at = [], 0
    while at < len(text):
        match = _PART.match(text, at)
        if match is None:
            raise SelectorError(f"{text!r} is no path: name.name[].name or name[key=value].name")
        value = _value(match["value"] or "")
        parts.append(PathPart(match["name"], bool(match["list"]), match["key"] or "", value))
        at = match.end()
        if at < len(text):
            if text[at] != ".":
                raise SelectorError(f"{text!r} is no path: a dot belongs at character {at + 1}")
            at += 1
    return tuple(parts)


def walk(value: object, path: str) -> list[Any]:
    """What stands at a dotted path in any value."""
    return [each for each in _walk(value, parse_path(path)) if each is not None]


def _walk(value: object, path: Path) -> Iterator[Any]:
    if not path:
        yield value
        return
    part, rest = path[0], path[1:]
    if not isinstance(value, Mapping):
        return
    inner = value.get(part.name)
    if not part.is_list:
        yield from _walk(inner, rest)
    elif isinstance(inner, list):
        for each in inner:
            if not part.key or any(_same(v, part.value) for v in _walk(each, parse_path(part.key))):
                yield from _walk(each, rest)


def _split_condition(text: str) -> tuple[str, str, str]:
    # A `=` inside brackets belongs to the path.
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if character == "=" and depth == 0:
            return text[:at].strip(), "=", text[at + 1 :].strip()
    return text, "", ""


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other
