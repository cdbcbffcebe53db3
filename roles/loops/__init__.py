"""The loops of the roles, and which of them an agent runs."""

from __future__ import annotations

import time

from supervisor.errors import LabError
from supervisor.lab.paths import Lab
from supervisor.model.states import Mode, Role
from supervisor.snapshot_reader import read_snapshot
from supervisor.store.connection import Store


def run_agent(lab: Lab, name: str) -> int:
    """Be this agent until it is told to stop; returns the exit code. Raises LabError for an unknown name."""
    agent = read_snapshot(lab, Store(lab.db), time.time()).agent(name)
    if agent is None:
        raise LabError(f"there is no agent {name!r}; `autoresearch-tui status` lists them")
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
