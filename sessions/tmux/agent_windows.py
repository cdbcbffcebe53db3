"""How a process is told to be an agent's: a variable that its window is given and everything in it inherits."""

from __future__ import annotations

import os

import psutil

from sessions.processes.tree import environment_value

AGENT_VARIABLE = "AUTORESEARCH_AGENT"


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
