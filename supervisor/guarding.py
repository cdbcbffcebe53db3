"""The guard: what an edit must be before a device is spent on it. Each refusal has a name."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from supervisor.store.connection import Store
from supervisor.store.experiments import source_was_tried

MAX_CANVAS_BYTES = 1_000_000


class Rule(StrEnum):
    """Why the guard says no."""

    PROTECTED_PATH = "protected path changed"
    NOT_A_FILE = "not a plain text file"
    TOO_LARGE = "too large"
    DOES_NOT_PARSE = "does not parse"
    UNCHANGED = "nothing changed"
    TRIED_BEFORE = "tried before"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The rule that an edit broke, and how."""

    rule: Rule
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.detail}"


def read_canvas(worktree: Path, editable: Sequence[str]) -> Mapping[str, str] | Refusal:
    """The editable files as text, by path, or the reason why they can't be taken as such."""
    sources = {}
    for path in editable:
        file = worktree / path
        if file.is_symlink() or not file.is_file():
            return Refusal(Rule.NOT_A_FILE, f"{path} is gone or is a link")
        data = file.read_bytes()
        if len(data) > MAX_CANVAS_BYTES:
            return Refusal(
                Rule.TOO_LARGE, f"{path} has {len(data):,} bytes, {MAX_CANVAS_BYTES:,} are allowed"
            )
        try:
            sources[path] = data.decode()
        except UnicodeDecodeError:
            return Refusal(Rule.NOT_A_FILE, f"{path} is not UTF-8 text")
    return sources


def check_edit(
    store: Store,
    tag: str,
    sources: Mapping[str, str],
    parent_hash: str,
    changed_paths: Sequence[str],
    editable: Sequence[str],
) -> Refusal | None:
    """The first rule that the edit breaks; `changed_paths` is everything that differs from the parent commit."""
    foreign = sorted(set(changed_paths) - set(editable))
    if foreign:
        return Refusal(Rule.PROTECTED_PATH, ", ".join(foreign[:5]))
    for path, text in sources.items():
        try:
            normalised(path, text)
        except (SyntaxError, ValueError) as error:
            return Refusal(Rule.DOES_NOT_PARSE, f"{path}: {error}")
    source_hash = hash_sources(sources)
    if source_hash == parent_hash:
        return Refusal(Rule.UNCHANGED, "the code is the same as its parent's, comments and layout aside")
    twin = source_was_tried(store, tag, source_hash)
    return Refusal(Rule.TRIED_BEFORE, f"the same code as {twin}") if twin else None


def hash_sources(sources: Mapping[str, str]) -> str:
    """What identifies a change: the same for sources that differ in comments and layout only."""
    digest = hashlib.sha256()
    for path in sorted(sources):
        try:
            text = normalised(path, sources[path])
        except (SyntaxError, ValueError):
            text = sources[path]
        digest.update(f"{path}\0{text}\0".encode())
    return digest.hexdigest()


def normalised(path: str, text: str) -> str:
    """Source without comments and layout. Raises SyntaxError or ValueError for Python that does not parse."""
    if path.endswith(".py"):
        return ast.unparse(ast.parse(text))
    return "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())
