"""The loops of the roles, and which of them an agent runs."""

from __future__ import annotations

import time

from sessions.locks import is_locked
from supervisor.campaign.leave import leave_server
from supervisor.errors import LabError
from supervisor.lab.paths import Lab
from supervisor.model.snapshot import Agent
from supervisor.model.states import Mode, Role
from supervisor.snapshot_reader import read_snapshot
from supervisor.store.connection import Store


def run_agent(lab: Lab, name: str) -> int:
    """Be this agent until it is told to stop; returns the exit code. Raises LabError for an unknown name."""
    agent = read_snapshot(lab, Store(lab.db), time.time()).agent(name)
    if agent is None:
        raise LabError(f"there is no agent {name!r}; `autoresearch-tui status` lists them")
    code = _run(lab, agent)
    if not is_locked(lab.supervisor_lock):  # else the supervisor waits for us, and leaves last
        leave_server(lab, name, patience_s=0.0)
    return code


def _run(lab: Lab, agent: Agent) -> int:
    name = agent.name
    if agent.mode is Mode.INTERACTIVE:
        from roles.loops.interactive import run_interactive

        return run_interactive(lab, name)
    match agent.role:
        case Role.CHIEF:
            from roles.loops.chief import run_chief

            return run_chief(lab, name)
        case Role.JUNIOR:
            from roles.loops.junior import run_junior

            return run_junior(lab, name)
