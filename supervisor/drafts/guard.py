"""The guard: what an edit must be before a device is spent on it. Each refusal has a name."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from supervisor.model.experiment import Flag
from supervisor.store.connection import Store
from supervisor.store.experiments import source_was_tried
from supervisor.text import UNREADABLE, parsed

MAX_CANVAS_BYTES = 1_000_000


class GuardRule(StrEnum):
    """Why the guard says no."""

    PROTECTED_PATH = "protected path changed"
    NOT_A_FILE = "not a plain text file"
    TOO_LARGE = "too large"
    DOES_NOT_PARSE = "does not parse"
    UNCHANGED = "nothing changed"
    TRIED_BEFORE = "tried before"
    MODE_CHANGED = "file mode changed"
    LOOKS_LIKE_GAMING = "looks like gaming"
    CHECKS_FAILED = "the lab's checks fail"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The rule that an edit broke, and how."""

    rule: GuardRule
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.detail}"


def read_canvas(worktree: Path, canvas: Sequence[str]) -> Mapping[str, str] | Refusal:
    """These files as text, by path, or the reason why they can't be taken as such."""
    sources = {}
    for path in canvas:
        file = worktree / path
        if file.is_symlink() or not file.is_file():
            return Refusal(GuardRule.NOT_A_FILE, f"{path} is gone or is a link")
        data = file.read_bytes()
        if len(data) > MAX_CANVAS_BYTES:
            sizes = f"{len(data):,} bytes, {MAX_CANVAS_BYTES:,} are allowed"
            return Refusal(GuardRule.TOO_LARGE, f"{path} has {sizes}")
        try:
            sources[path] = data.decode()
        except UnicodeDecodeError:
            return Refusal(GuardRule.NOT_A_FILE, f"{path} is not UTF-8 text")
    return sources


def check_edit(
    store: Store,
    tag: str,
    sources: Mapping[str, str],
    parent_hash: str,
    changed_paths: Sequence[str],
    canvas: Sequence[str],
) -> Refusal | None:
    """The first rule that the edit breaks; `changed_paths` is everything that differs from the parent commit."""
    foreign = sorted(set(changed_paths) - set(canvas))
    if foreign:
        return Refusal(GuardRule.PROTECTED_PATH, ", ".join(foreign[:5]))
    for path, text in sources.items():
        try:
            normalised(path, text)
        except UNREADABLE as error:
            return Refusal(GuardRule.DOES_NOT_PARSE, f"{path}: {error or type(error).__name__}")
    source_hash = hash_sources(sources)
    if source_hash == parent_hash:
        return Refusal(GuardRule.UNCHANGED, "the code is the same as its parent's, comments and layout aside")
    twin = source_was_tried(store, tag, source_hash)
    return Refusal(GuardRule.TRIED_BEFORE, f"the same code as {twin}") if twin else None


def stands_in(new: Iterable[str], known: Mapping[str, str]) -> Refusal | None:
    """A new module that would be imported in place of one that the known sources or Python itself import."""
    module_names = set(sys.stdlib_module_names)
    for path, text in known.items():
        if path.endswith(".py"):
            module_names |= {PurePosixPath(path).stem, *_imported(text)}
    for path in sorted(new):
        if path.endswith(".py") and PurePosixPath(path).stem in module_names:
            return Refusal(GuardRule.PROTECTED_PATH, f"{path} would stand in for the module of that name")
    return None


def _imported(text: str) -> Iterator[str]:
    tree = parsed(text)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def hash_sources(sources: Mapping[str, str]) -> str:
    """What identifies a change: the same for sources that differ in comments and layout only."""
    digest = hashlib.sha256()
    for path in sorted(sources):
        try:
            text = normalised(path, sources[path])
        except UNREADABLE:
            text = sources[path]
        digest.update(f"{path}\0{text}\0".encode())
    return digest.hexdigest()


def normalised(path: str, text: str) -> str:
    """Source without comments, docstrings and layout. Raises one of `UNREADABLE` for Python that does not parse."""
    if path.endswith(".py"):
        return ast.unparse(_Undocumented().visit(ast.parse(text)))
    return "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())


class _Undocumented(ast.NodeTransformer):
    """Drops texts that stand alone: they do nothing."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Visit what is below; a body that had nothing but its docstring stays one."""
        super().generic_visit(node)
        if getattr(node, "body", None) == [] and not isinstance(node, ast.Module):
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """A statement that is only a text goes."""
        alone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if alone else node


def refused_flag(flags: Sequence[Flag], hard: Sequence[str]) -> Refusal | None:
    """The first flag of a rule that this lab made hard."""
    flag = next((flag for flag in flags if flag.rule in hard), None)
    if flag is None:
        return None
    where = f"{flag.path}:{flag.line}" if flag.line else flag.path
    return Refusal(GuardRule.LOOKS_LIKE_GAMING, f"{flag.rule} at {where}: {flag.excerpt or flag.detail}")
