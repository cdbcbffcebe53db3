"""What an edit brings that looks like gaming: what the audit sees in it, less what the person's own code had."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache

from supervisor.audit.behaviour import MOST_TEXT, read_literals, read_models, read_training
from supervisor.audit.reader import Sighting, nodes_of, read_names
from supervisor.audit.rules import Ground, rule_of
from supervisor.model.experiment import Flag
from supervisor.text import parsed

LONGEST_EXCERPT = 160


def audit(
    before: Mapping[str, str], after: Mapping[str, str], *, has_referee: bool, metric: str
) -> tuple[Flag, ...]:
    """The flags of `after`, by path and line. `before` is the code that the campaign began with.

    Sources that do not parse have none: the guard refuses them.
    """
    flags: list[Flag] = []
    for path, text in sorted(after.items()):
        if not path.endswith(".py"):
            continue
        known = Counter(_known(before.get(path, ""), has_referee, metric))
        for sighting in _read(text, has_referee, metric):
            key = _key(sighting)
            if known[key]:
                known[key] -= 1
                continue
            flags.append(_flag(path, text, sighting))
        flags += _more_text(path, before.get(path, ""), text)
    return tuple(dict.fromkeys(flags))


@lru_cache(maxsize=16)  # a campaign begins with one code, and reads it for every edit
def _known(text: str, has_referee: bool, metric: str) -> tuple[tuple[Ground, str], ...]:
    return tuple(_key(each) for each in _read(text, has_referee, metric))


def _read(text: str, has_referee: bool, metric: str) -> Iterator[Sighting]:
    tree = parsed(text)
    if tree is None:
        return
    sightings = [*read_names(tree, has_referee), *read_models(tree), *read_literals(tree, metric)]
    if has_referee:
        sightings += read_training(tree)
    yield from sorted(sightings, key=lambda each: (getattr(each.node, "lineno", 0), each.ground))


def _key(sighting: Sighting) -> tuple[Ground, str]:
    node = sighting.node
    # A class or a function is known by its head: what is in it is looked at by itself.
    text = sighting.what if isinstance(node, ast.ClassDef | ast.FunctionDef) else ast.unparse(node)
    return sighting.ground, text


def _flag(path: str, text: str, sighting: Sighting) -> Flag:
    line = int(getattr(sighting.node, "lineno", 0)) or None
    lines = text.splitlines()
    excerpt = lines[line - 1].strip() if line is not None and line <= len(lines) else ""
    reason = rule_of(sighting.ground).reason
    return Flag(sighting.ground.value, path, line, excerpt[:LONGEST_EXCERPT], f"{reason}: {sighting.what}")


def _more_text(path: str, before: str, after: str) -> Iterator[Flag]:
    """Many small literals carry as much as a large one."""
    grown = _literal_chars(after) - _literal_chars(before)
    if grown > MOST_TEXT:
        reason = rule_of(Ground.DATA).reason
        yield Flag(Ground.DATA.value, path, None, "", f"{reason}: {grown} more characters of literals")


@lru_cache(maxsize=16)
def _literal_chars(text: str) -> int:
    tree = parsed(text)
    if tree is None:
        return 0
    docstrings = {id(n.value) for n in nodes_of(tree) if isinstance(n, ast.Expr)}
    literals = (n for n in nodes_of(tree) if isinstance(n, ast.Constant) and id(n) not in docstrings)
    return sum(len(str(n.value)) for n in literals)
