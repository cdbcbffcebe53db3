"""The clients whose own interface a pane can show: what each is given, as data."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roles.workbench.client_hooks import EVENTS
from supervisor.errors import LabError

TOOL_TIMEOUT_S = 60  # of the client for one call; our longest wait is 45
FIRST_WORDS = """\
You are {agent}, a junior engineer of a research lab. Its tools are those of the MCP server `lab`. Call brief first,
then work in rounds: claim_hypothesis, edit (one change, only the files that it names), run_experiment, wait until the
verdict is there, reflect; a note when a finding is worth another's time. Never train or commit yourself: the lab
does. Go on with the next round until I say stop."""


@dataclass(frozen=True, slots=True)
class Place:
    """Who the client is started for, and where."""

    agent: str
    model: str  # "": the client's own default
    worktree: Path
    home: Path  # its HOME: nothing of the person's configuration is read or written
    holdout: Path
    server: tuple[str, ...]  # the command of the lab's MCP server
    server_env: Mapping[str, str]
    hook: tuple[str, ...]  # the command of its hooks, to be followed by the event

    @property
    def first_words(self) -> str:
        """What it is told when it starts."""
        return FIRST_WORDS.format(agent=self.agent).replace("\n", " ")


@dataclass(frozen=True, slots=True)
class Client:
    """One client: how it is installed, started and configured."""

    program: str
    install: str
    keys: tuple[str, ...]  # of its own provider, passed on; no other's are
    env: Mapping[str, str]  # {home} is its HOME
    argv: Callable[[Place], list[str]]  # after the program
    files: Callable[[Place], Mapping[str, str]]  # below its HOME; written afresh at every start
    seeds: Callable[[Place], Mapping[str, dict[str, Any]]]  # JSON files of its own that must say this much


def _claude_argv(place: Place) -> list[str]:
    tools = "Read,Edit,Write,Grep,Glob"
    model = ["--model", place.model] if place.model else []
    return [
        "--mcp-config", str(place.home / "lab-mcp.json"), "--strict-mcp-config",
        "--settings", str(place.home / "lab-settings.json"),
        "--tools", tools, "--allowedTools", f"{tools},mcp__lab",
        *model, "--permission-mode", "acceptEdits", place.first_words,
    ]  # fmt: skip


def _claude_files(place: Place) -> dict[str, str]:
    command, *arguments = place.server
    server = {"type": "stdio", "command": command, "args": arguments, "env": dict(place.server_env)}
    hooks = {
        event: [{"hooks": [{"type": "command", "command": shlex.join((*place.hook, event)), "timeout": 15}]}]
        for event in EVENTS
    }
    sealed = (f"{place.holdout}/**", f"{place.holdout.parent}/lab.db*")  # a path of the root starts with //
    settings = {
        "hooks": hooks,
        "permissions": {
            "allow": ["mcp__lab"],
            "deny": ["Bash", "WebFetch", "WebSearch", *(f"Read(/{path})" for path in sealed)],
            "defaultMode": "acceptEdits",
        },
        "includeCoAuthoredBy": False,
    }
    return {
        "lab-mcp.json": json.dumps({"mcpServers": {"lab": server}}, indent=1),
        "lab-settings.json": json.dumps(settings, indent=1),
    }


def _claude_seeds(place: Place) -> dict[str, dict[str, Any]]:
    trusted = {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
    return {
        ".claude.json": {"hasCompletedOnboarding": True, "projects": {str(place.worktree): trusted}},
    }


def _codex_argv(place: Place) -> list[str]:
    return [*(["--model", place.model] if place.model else []), place.first_words]


def _codex_files(place: Place) -> dict[str, str]:
    command, *arguments = place.server
    said = json.dumps  # a JSON text is a TOML text
    env = ", ".join(f"{name} = {said(value)}" for name, value in place.server_env.items())
    lines = (
        'sandbox_mode = "workspace-write"',
        'approval_policy = "on-request"',
        f"notify = {said([*place.hook, 'Stop'])}",
        "[sandbox_workspace_write]",
        "exclude_slash_tmp = true",
        "exclude_tmpdir_env_var = true",
        "network_access = false",
        f"[projects.{said(str(place.worktree))}]",
        'trust_level = "trusted"',
        "[mcp_servers.lab]",
        f"command = {said(command)}",
        f"args = {said(arguments)}",
        f"env = {{ {env} }}",
        f"tool_timeout_sec = {TOOL_TIMEOUT_S}",
        'default_tools_approval_mode = "approve"',
    )
    return {".codex/config.toml": "\n".join(lines) + "\n"}


CLIENTS = {
    "claude": Client(
        program="claude",
        install="npm install -g @anthropic-ai/claude-code",
        keys=(
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_AUTH_TOKEN",
            "ANTHROPIC_BASE_URL",
            "ANTHROPIC_MODEL",
            "CLAUDE_CODE_OAUTH_TOKEN",
        ),
        env={
            "CLAUDE_CODE_TMUX_TRUECOLOR": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "ENABLE_TOOL_SEARCH": "0",  # they are few: all are offered at once
            "MCP_TOOL_TIMEOUT": str(TOOL_TIMEOUT_S * 1000),
        },
        argv=_claude_argv,
        files=_claude_files,
        seeds=_claude_seeds,
    ),
    "codex": Client(
        program="codex",
        install="npm install -g @openai/codex",
        keys=("OPENAI_API_KEY", "OPENAI_BASE_URL", "CODEX_API_KEY"),
        env={"CODEX_HOME": "{home}/.codex"},
        argv=_codex_argv,
        files=_codex_files,
        seeds=lambda _: {},
    ),
}


def client_named(backend: str) -> Client:
    """The client of that backend. Raises LabError for one whose interface is not known."""
    if backend not in CLIENTS:
        raise LabError(
            f'{backend!r} has no interface for a pane; mode = "interactive" knows {", ".join(CLIENTS)}'
        )
    return CLIENTS[backend]


def configure(client: Client, place: Place) -> None:
    """Write the client's files into its HOME. Its own, which it writes to as well, keep what else they say."""
    place.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in client.files(place).items():
        _write(place.home / name, text)
    for name, needed in client.seeds(place).items():
        file = place.home / name
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            said = {}
        _write(file, json.dumps(_merged(said if isinstance(said, dict) else {}, needed), indent=1))


def _merged(said: dict[str, Any], needed: Mapping[str, Any]) -> dict[str, Any]:
    whole = dict(said)
    for key, value in needed.items():
        below = whole.get(key)
        whole[key] = (
            _merged(below if isinstance(below, dict) else {}, value) if isinstance(value, dict) else value
        )
    return whole


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
