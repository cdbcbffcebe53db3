"""A model that does what it is told: edits when it is to edit, plans when it is to plan, writes when told to write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.stand_in.script import Asked, ToolCall, Turn, Usage

BEFORE, AFTER = "DEPTH = 4\n", "DEPTH = 3\n"
EDIT_ANSWER = {
    "result": "edited", "title": "Depth 3 instead of 4", "expectation": "Fewer layers, more steps: 0.01 better.",
    "explanation": "",
}  # fmt: skip
PLAN_ANSWER = {
    "hypotheses": [
        {
            "title": "Depth 3 instead of 4", "rationale": "more steps", "change": "DEPTH = 3", "expected_gain": 0.01,
            "category": "shape", "parent_id": None, "risk": "", "builds_on": [], "falsified_by": "a worse score",
            "independent": True,
        }
    ],
    "summary": "one idea",
}  # fmt: skip
WRITES = "touch written-by-the-chief; python3 train.py; git add -A; git -c user.name=c -c user.email=c@c commit -m c"
REFLECTION = {"text": "Expected and seen.", "note_title": None, "note_text": None}


@dataclass
class Scripted:
    """The script: one conversation at a time, told by its first call whether it edits, plans, or is a rogue."""

    worktree: Path
    does: str  # "edit", "plan", "write", or "all": what the schema in the brief asks for
    old: str = BEFORE.strip()
    new: str = AFTER.strip()
    file: str = "train.py"
    offered: set[str] = field(default_factory=set)
    called: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)

    def __call__(self, asked: Asked) -> Turn:
        """The next turn."""
        self.offered |= set(asked.tools)
        does = self._wanted(asked)
        if does in ("edit", "write") and asked.tools:
            call = self._next(asked, does, len(self.called) if does == "write" else self._turns(asked))
            if call is not None:
                self.called.append(call.name)
                return Turn("I do it.", [call], usage=Usage(100, 20, 30, 10))
        answers = {"edit": EDIT_ANSWER, "reflect": REFLECTION}
        return self._answer(does, answers.get(does, PLAN_ANSWER))

    def _wanted(self, asked: Asked) -> str:
        if self.does != "all":
            return self.does
        keys = {'"hypotheses":{': "plan", '"result":{': "edit", '"note_text":{': "reflect"}
        return next((does for key, does in keys.items() if key in asked.text), "plan")

    def _turns(self, asked: Asked) -> int:
        # Of this conversation; Gemini's results are told twice.
        return len({result.text for result in asked.tool_results})

    def _answer(self, does: str, answer: Mapping[str, Any]) -> Turn:
        text = f"Done.\n```json\n{json.dumps(answer)}\n```\n"
        if does in ("edit", "write") and not self.offered:  # aider: edits are words
            text = f"{self.file}\n<<<<<<< SEARCH\n{self.old}\n=======\n{self.new}\n>>>>>>> REPLACE\n\n{text}"
        return Turn(text, usage=Usage(100, 20, 30, 10))

    def _next(self, asked: Asked, does: str, number: int) -> ToolCall | None:
        path = str(self.worktree / self.file)
        if does == "edit":
            calls = [self._read(asked, path), self.change(asked)]
        else:
            calls = [self.change(asked), self._shell(asked)]
        possible = [call for call in calls if call is not None]
        return possible[number] if number < len(possible) else None

    def _read(self, asked: Asked, path: str) -> ToolCall | None:
        reads: dict[str, dict[str, Any]] = {
            "Read": {"file_path": path}, "read": {"path": path, "filePath": path}, "read_file": {"file_path": path},
        }  # fmt: skip
        return _first(asked, reads)

    def change(self, asked: Asked) -> ToolCall | None:
        """The call that puts `new` in place of `old`, with whatever tool was offered for that."""
        old, new, path = self.old, self.new, str(self.worktree / self.file)
        patch = f"*** Begin Patch\n*** Update File: {self.file}\n@@\n-{old}\n+{new}\n*** End Patch\n"
        edit = {"filePath": path, "oldString": old, "newString": new}
        if "filePath" not in _properties(asked, "edit"):
            edit = {"path": path, "edits": [{"oldText": old, "newText": new}]}
            if "edits" not in _properties(asked, "edit"):
                edit = {"path": path, "oldText": old, "newText": new}
        changes: dict[str, dict[str, Any] | str] = {
            "Edit": {"file_path": path, "old_string": old, "new_string": new},
            "edit": edit,
            "replace": {"file_path": path, "old_string": old, "new_string": new, "instruction": "depth"},
            "apply_patch": patch,
            "Write": {"file_path": path, "content": new},
            "write": {"path": path, "filePath": path, "content": new},
            "write_file": {"file_path": path, "content": new},
        }
        return _first(asked, changes) or self._shell(asked, f"apply_patch <<'EOF'\n{patch}EOF")

    def _shell(self, asked: Asked, command: str = WRITES) -> ToolCall | None:
        shells: dict[str, dict[str, Any]] = {
            "Bash": {"command": command, "description": "x"},
            "bash": {"command": command, "description": "x"},
            "exec_command": {"cmd": command},
            "shell_command": {"command": command},
            "shell": {"command": ["bash", "-lc", command]},
            "run_shell_command": {"command": command},
        }
        return _first(asked, shells)


def _first(asked: Asked, calls: Mapping[str, dict[str, Any] | str]) -> ToolCall | None:
    name = next((name for name in calls if name in asked.tools), None)
    return None if name is None else ToolCall(name, calls[name])


def _properties(asked: Asked, name: str) -> Mapping[str, Any]:
    for tool in asked.body.get("tools", ()):
        about = tool.get("function", tool)
        if isinstance(about, dict) and about.get("name") == name:
            schema = about.get("input_schema") or about.get("parameters") or {}
            found: Mapping[str, Any] = schema.get("properties", {})
            return found
    return {}
