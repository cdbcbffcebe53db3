"""What a model may do: read, search and list; a junior may also edit. There is no shell."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from roles.backends.anthropic.searching import MOST_LINES, SearchError, search
from roles.backends.anthropic.worktree_files import ToolError, WorktreeFiles
from supervisor.drafts.guard import MAX_CANVAS_BYTES
from supervisor.text import UNREADABLE

LINES = 2_000  # that one read gives
MOST_CHARACTERS = 60_000  # of a result
MOST_PATHS = 500
LONGEST_LINE = 2_000

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool as a model sees it."""

    name: str
    description: str
    properties: Mapping[str, Mapping[str, Any]]
    required: tuple[str, ...]
    use: Callable[[Toolbox, Arguments], str]
    about: str  # the argument that says what it is used on

    def schema(self) -> dict[str, Any]:
        """As the API takes it."""
        return {
            "name": self.name,
            "description": self.description,
            "input_schema": {
                "type": "object", "properties": dict(self.properties), "required": list(self.required),
                "additionalProperties": False,
            },
        }  # fmt: skip


@dataclass(slots=True)
class Toolbox:
    """The tools that one step offers, and what was changed with them."""

    files: WorktreeFiles
    tools: tuple[Tool, ...]
    changed: set[str] = field(default_factory=set)

    def use(self, name: str, arguments: Arguments) -> str:
        """Do it. Raises ToolError, for a tool that was not offered as well."""
        tool = next((tool for tool in self.tools if tool.name == name), None)
        if tool is None:
            offered = ", ".join(tool.name for tool in self.tools) or "none"
            raise ToolError(f"there is no tool {name!r} here; there are: {offered}")
        for key, value in arguments.items():
            kind = {"string": str, "integer": int, "boolean": bool}[
                tool.properties.get(key, {}).get("type", "string")
            ]
            if not isinstance(value, kind):
                raise ToolError(f"{key} must be a {kind.__name__}")
        missing = [key for key in tool.required if key not in arguments]
        if missing:
            raise ToolError(f"{missing[0]} is missing")
        try:
            return _capped(tool.use(self, arguments))
        except OSError as error:
            raise ToolError(f"{arguments.get(tool.about, name)}: {error.strerror}") from None

    def detail(self, name: str, arguments: Arguments) -> str:
        """What a call is about, for a person."""
        about = next((tool.about for tool in ALL if tool.name == name), "")
        return str(arguments.get(about, ""))[:120]


def _read(box: Toolbox, arguments: Arguments) -> str:
    lines = _text_of(box.files.to_read(arguments["path"]), arguments["path"]).splitlines()
    first = max(arguments.get("first_line", 1), 1)
    part = lines[first - 1 : first - 1 + min(max(arguments.get("lines", LINES), 1), LINES)]
    if not part:
        return f"(there are {len(lines)} lines, none from {first})"
    text = "\n".join(f"{n}\t{line[:LONGEST_LINE]}" for n, line in enumerate(part, first))
    last = first + len(part) - 1
    return (
        text if last == len(lines) else f"{text}\n… (of {len(lines)} lines; go on with first_line {last + 1})"
    )


def _grep(box: Toolbox, arguments: Arguments) -> str:
    files = list(box.files.paths(arguments.get("path", "")))
    try:
        matches = search(box.files.root, files, arguments["pattern"])
    except SearchError as error:
        raise ToolError(f"grep: {error}") from None
    more = "\n… (there are more; narrow the search)" if len(matches) > MOST_LINES else ""
    return "\n".join(matches[:MOST_LINES]) + more or "nothing found"


def _glob(box: Toolbox, arguments: Arguments) -> str:
    pattern = str(arguments["pattern"]).removeprefix("./")
    paths = [path for path in box.files.paths() if fnmatchcase(path, pattern) or _stands_for(path, pattern)]
    more = f"\n… ({len(paths) - MOST_PATHS} more)" if len(paths) > MOST_PATHS else ""
    return "\n".join(paths[:MOST_PATHS]) + more or "nothing found"


def _edit(box: Toolbox, arguments: Arguments) -> str:
    path, target = box.files.to_change(arguments["path"])
    text = _text_of(box.files.to_read(path), path)
    old, new = arguments["old"], arguments["new"]
    count = text.count(old) if old else 0
    if count == 0:
        raise ToolError(
            f"{path}: `old` is not in the file; it must match to the letter, without line numbers"
        )
    if count > 1 and not arguments.get("everywhere"):
        raise ToolError(
            f"{path}: `old` is there {count} times; give more of its surroundings, or say everywhere"
        )
    return _put(box, path, target, text.replace(old, new), f"replaced {count} time{'s' * (count > 1)}")


def _write(box: Toolbox, arguments: Arguments) -> str:
    path, target = box.files.to_change(arguments["path"])
    return _put(box, path, target, arguments["text"], "written")


def _put(box: Toolbox, path: str, target: Path, text: str, what: str) -> str:
    data = text.encode(errors="replace")
    if len(data) > MAX_CANVAS_BYTES:
        raise ToolError(f"{path}: would have {len(data):,} bytes, {MAX_CANVAS_BYTES:,} are allowed")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    box.changed.add(path)
    problem = _unparsable(path, text)
    return f"{path}: {what}" + (f"; but it does not parse now: {problem}" if problem else "")


def _unparsable(path: str, text: str) -> str:
    if not path.endswith(".py"):
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except UNREADABLE as error:
        return str(error)
    return ""


def _text_of(file: Path, path: str) -> str:
    if file.stat().st_size > MAX_CANVAS_BYTES:
        raise ToolError(f"{path}: larger than {MAX_CANVAS_BYTES:,} bytes; search it with grep")
    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError:
        raise ToolError(f"{path}: not UTF-8 text") from None


def _stands_for(path: str, pattern: str) -> bool:
    return PurePosixPath(path).match(pattern) or (
        "**/" in pattern and fnmatchcase(path, pattern.replace("**/", ""))
    )


def _capped(text: str) -> str:
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]}\n… (cut: {len(text) - MOST_CHARACTERS} more characters)"


def _argument(kind: str, description: str) -> dict[str, Any]:
    return {"type": kind, "description": description}


_PATH = _argument("string", "relative to the worktree")
READ = Tool(
    "read", "Read a text file of the worktree; its lines come numbered.",
    {
        "path": _PATH, "first_line": _argument("integer", "to begin with, from 1"),
        "lines": _argument("integer", f"how many, {LINES} at the most"),
    },
    ("path",), _read, "path",
)  # fmt: skip
GREP = Tool(
    "grep", "Search the worktree's files, line by line, for a regular expression (Python's).",
    {"pattern": _argument("string", "the expression"), "path": _argument("string", "a file or a folder; all without")},
    ("pattern",), _grep, "pattern",
)  # fmt: skip
GLOB = Tool(
    "glob", "List the worktree's files whose paths match a pattern, like *.py or **/train*.",
    {"pattern": _argument("string", "the pattern")},
    ("pattern",), _glob, "pattern",
)  # fmt: skip
EDIT = Tool(
    "edit", "Replace a piece of a file that may be changed. `old` must be there exactly once.",
    {
        "path": _PATH, "old": _argument("string", "the text as it stands, to the letter"),
        "new": _argument("string", "what takes its place"),
        "everywhere": _argument("boolean", "replace every occurrence"),
    },
    ("path", "old", "new"), _edit, "path",
)  # fmt: skip
WRITE = Tool(
    "write", "Write a whole file that may be changed or added.",
    {"path": _PATH, "text": _argument("string", "all of it")},
    ("path", "text"), _write, "path",
)  # fmt: skip
READING = (READ, GREP, GLOB)
ALL = (*READING, EDIT, WRITE)
