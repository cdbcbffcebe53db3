"""A client as the lab sees one: it speaks MCP to what its configuration names, and runs its hooks. No model.

Started under the name `claude`. What it does is in the file `script` in its HOME, one JSON list a line: a tool and its
arguments, "edit" file old new, "hook" event data, "child", "deaf", or "exit" code. What came of it is in
`client.log`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

HOME = Path(os.environ["HOME"])


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


def hook(settings: dict, event: str, data: dict) -> None:
    for matcher in settings["hooks"].get(event, ()):
        for each in matcher["hooks"]:
            done = subprocess.run(
                ["sh", "-c", each["command"]],
                input=json.dumps({"hook_event_name": event} | data),
                capture_output=True, text=True, timeout=each["timeout"], check=False,
            )  # fmt: skip
            note("hook", [event, done.returncode, done.stdout])


def note(kind: str, value: object) -> None:
    with (HOME / "client.log").open("a") as file:
        file.write(json.dumps([kind, value]) + "\n")


async def main() -> int:
    config = json.loads(Path(option("--mcp-config")).read_text())["mcpServers"]["lab"]
    settings = json.loads(Path(option("--settings")).read_text())
    note("start", {"argv": sys.argv[1:], "env": dict(os.environ), "cwd": str(Path.cwd()), "pid": os.getpid(),
                   "foreground": sys.stdin.isatty() and os.tcgetpgrp(0) == os.getpgrp()})  # fmt: skip
    hook(settings, "SessionStart", {"source": "startup"})
    server = StdioServerParameters(command=config["command"], args=config["args"], env=config["env"])
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        await session.list_tools()
        script = HOME / "script"
        done = 0
        while True:
            lines = script.read_text().splitlines() if script.exists() else []
            if len(lines) <= done:
                await asyncio.sleep(0.05)
                continue
            step, done = json.loads(lines[done]), done + 1
            match step:
                case ["exit", code]:
                    script.unlink()
                    return int(code)
                case ["edit", file, old, new]:
                    hook(settings, "PreToolUse", {"tool_name": "Edit", "tool_input": {"file_path": file}})
                    Path(file).write_text(Path(file).read_text().replace(old, new, 1))
                case ["hook", event, data]:
                    hook(settings, event, data)
                case ["deaf"]:  # to the terminal's end
                    signal.signal(signal.SIGHUP, signal.SIG_IGN)
                case ["child"]:
                    left = subprocess.Popen(["sleep", "600"], start_new_session=True)
                    note("child", left.pid)
                case [tool, arguments]:
                    data = {"tool_name": f"mcp__lab__{tool}", "tool_input": arguments}
                    hook(settings, "PreToolUse", data)
                    answer = await session.call_tool(tool, arguments)
                    note("answer", [tool, answer.content[0].text])
            note("done", done)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
