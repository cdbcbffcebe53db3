"""What a client's hooks say of its state: nothing is read off its screen.

A hook runs before every tool of the client: what is imported here is what it waits for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.lab.agent_folder import agent_folder
from supervisor.model.states import AgentState
from supervisor.store import agents
from supervisor.store.connection import DB_FILE, Store
from supervisor.text import one_line

EVENTS = (
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PermissionRequest",
    "Notification",
    "Stop",
    "StopFailure",
    "SessionEnd",
)
INPUT_LIMIT = 4_000_000  # bytes; an Edit's hook carries the texts
LOG_LIMIT = 1_000_000
TOOLS_PATIENCE_S = 10.0
SETTLES_S = 0.3
_EDITS = frozenset({"Edit", "Write", "MultiEdit", "NotebookEdit"})
_WAITS = "mcp__lab__wait"
_OVER = "what is next? its turn is over; type in its pane"


@dataclass(frozen=True, slots=True)
class ClientState:
    """A state, as `set_agent_state` takes it."""

    state: AgentState
    doing: str = ""
    waiting_for: str = ""


def state_of(event: str, data: Mapping[str, Any]) -> ClientState | None:
    """The state that an event means; None: it means nothing, or is not known."""

    def field(name: str) -> str:
        value = data.get(name)
        return one_line(value)[:200] if isinstance(value, str) else ""

    match event:
        case "SessionStart":
            return ClientState(AgentState.IDLE, "its client is up")
        case "UserPromptSubmit":
            return ClientState(AgentState.THINKING, "reads what it was told")
        case "PreToolUse":
            return _of_tool(field("tool_name"), data.get("tool_input"))
        case "PermissionRequest":
            return ClientState(
                AgentState.WAITING, waiting_for=f"may it use {field('tool_name') or 'a tool'}?"
            )
        case "Notification":
            message = field("message")
            return ClientState(AgentState.WAITING, waiting_for=message) if message else None
        case "Stop":
            return ClientState(AgentState.IDLE, waiting_for=_OVER)
        case "StopFailure":
            why = field("error") or field("message") or "its model did not answer"
            return ClientState(AgentState.IDLE, waiting_for=f"it stopped: {why}")
        case "SessionEnd":
            return ClientState(AgentState.IDLE, "its client left")
    return None


def _of_tool(tool: str, arguments: object) -> ClientState:
    about = ""
    if isinstance(arguments, dict):
        subject = arguments.get("file_path") or arguments.get("experiment") or arguments.get("pattern")
        about = f" {one_line(subject)[-120:]}" if isinstance(subject, str) else ""
    if tool == _WAITS:
        return ClientState(AgentState.WAITING, f"for{about}")
    state = AgentState.EDITING if tool in _EDITS else AgentState.THINKING
    return ClientState(state, f"{tool.removeprefix('mcp__lab__')}{about}"[:200])


def record_event(state_dir: Path, agent: str, event: str, text: str) -> None:
    """Tell the lab what the client's hook said. What cannot be understood is logged, and changes nothing."""
    try:
        data = json.loads(text) if text.strip() else {}
        if not isinstance(data, dict):
            raise ValueError(f"{type(data).__name__} in place of an object")
    except (ValueError, RecursionError) as error:
        log(state_dir, agent, f"{event}: {error}")
        return
    client = state_of(event, data)
    if client is not None:
        store, now = Store(state_dir / DB_FILE), time.time()
        agents.record_client_state(
            store, agent, client.state, now, doing=client.doing, waiting_for=client.waiting_for
        )
        if event == "UserPromptSubmit":
            _wait_for_tools(tools_ready_file(state_dir, agent))
    elif event not in EVENTS:
        log(state_dir, agent, f"{event}: unknown event")


def tools_ready_file(state_dir: Path, agent: str) -> Path:
    """Where the MCP server leaves word that this client has its tools; removed before a client starts."""
    return agent_folder(state_dir, agent) / "tools-ready"


def _wait_for_tools(ready: Path) -> None:
    # Claude Code 2.1.197 begins its first turn before its servers are up, and that turn finds no tools of the lab's.
    if ready.exists() or not ready.parent.is_dir():
        return
    deadline = time.monotonic() + TOOLS_PATIENCE_S
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    ready.touch()  # once: a server that does not come is not waited for again
    time.sleep(SETTLES_S)


def log(state_dir: Path, agent: str, text: str) -> None:
    """A line for whoever wonders why a state is not what it should be: hooks.log in the agent's folder."""
    folder = agent_folder(state_dir, agent)
    if not folder.is_dir():
        return
    file = folder / "hooks.log"
    if not file.exists() or file.stat().st_size < LOG_LIMIT:
        with file.open("a", encoding="utf-8", errors="replace") as lines:
            lines.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {one_line(text)[:500]}\n")
