"""Marks in the environment of processes, inherited by all that they start: whose run, whose agent's they are."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from sessions.processes.tree import LINUX, is_dead, kill_until_gone

MARKER_VARIABLE = "AUTORESEARCH_RUN"  # in every process of a run: how leftovers are found
AGENT_VARIABLE = "AUTORESEARCH_AGENT"  # in every process of an agent's window


def find_marked(marker: str) -> list[int]:
    """Processes of runs with this mark, or with a mark that continues it after a colon."""

    def is_marked(pid: int) -> bool:
        value = environment_value(pid, MARKER_VARIABLE)
        return value is not None and (value == marker or value.startswith(f"{marker}:"))

    return [pid for pid in psutil.pids() if is_marked(pid) and not is_dead(pid)]


def end_marked(marker: str) -> int:
    """Kill what earlier runs with this mark left behind; returns how many there were."""
    leftovers = find_marked(marker)
    kill_until_gone(lambda: find_marked(marker))
    return len(leftovers)


def mark_of_agent(name: str) -> dict[str, str]:
    """The environment of an agent's window, to be added to what it has."""
    return {AGENT_VARIABLE: name}


def agent_around() -> str:
    """The agent in whose window this process runs, "" for none.

    Ancestors are asked too, so unsetting the variable does not help. It keeps honest tools from what is not for
    them; it is no wall against a process that leaves its parents.
    """
    if name := os.environ.get(AGENT_VARIABLE):
        return name
    try:
        parents = psutil.Process().parents()
    except psutil.Error:
        return ""
    return next((name for each in parents if (name := environment_value(each.pid, AGENT_VARIABLE))), "")


def environment_value(pid: int, name: str) -> str | None:
    """What a variable was when that process started; None where it is not set or cannot be read."""
    if not LINUX:
        try:
            return psutil.Process(pid).environ().get(name)
        except psutil.Error:
            return None
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # gone, or another user's
        return None
    prefix = f"{name}=".encode()
    entry = next((entry for entry in entries if entry.startswith(prefix)), None)
    return None if entry is None else os.fsdecode(entry[len(prefix) :])
