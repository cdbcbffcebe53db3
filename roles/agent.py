"""What every agent's process does beside its role: pulse, pause, messages, and a watch on the supervisor."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from roles.backend import Backend
from roles.backends import make_backend
from roles.pane import Pane, read_typed_lines
from sessions.git import Repository
from sessions.tmux import LabServer, socket_name_for
from supervisor.errors import LabError
from supervisor.lab import Lab
from supervisor.launch import start_supervisor
from supervisor.reading import read_snapshot
from supervisor.snapshot import Agent, LabSnapshot
from supervisor.states import AgentState, CampaignState, Wanted
from supervisor.store import agents
from supervisor.store.connection import Store

PULSE_S = 5.0
STEP_S = 0.5  # how often an idle agent looks whether there is something to do
ORPHANED_AFTER_S = 20.0  # without a supervisor; its own restart loop comes first


@dataclass(slots=True)
class Desk:
    """One agent's process."""

    lab: Lab
    name: str
    tag: str
    backend: Backend
    store: Store
    repository: Repository
    pane: Pane = field(default_factory=Pane)
    _supervised_at: float = field(default_factory=time.monotonic)

    def snapshot(self) -> LabSnapshot:
        """The lab as it is now."""
        return read_snapshot(self.lab, self.store, time.time())

    def state(self, state: AgentState, *, doing: str = "") -> None:
        """Tell everybody what this agent does now."""
        agents.set_agent_state(self.store, self.tag, self.name, state, time.time(), doing=doing)

    def messages(self) -> tuple[str, ...]:
        """What the person said since the last step; each is acknowledged in the pane."""
        texts = agents.take_messages(self.store, self.tag, self.name, time.time())
        for text in texts:
            self.pane.heading(f"from the person: {text}")
        return texts

    def may_go_on(self, snapshot: LabSnapshot) -> bool:
        """False when this agent should end; waits here while it is paused."""
        announced = False
        while True:
            wanted = _wanted(snapshot, self.name)
            if wanted is Wanted.STOPPED:
                self.state(AgentState.STOPPED)
                self.pane.heading("stopped")
                return False
            if wanted is Wanted.RUNNING:
                return True
            if not announced:
                self.state(AgentState.PAUSED)
                self.pane.heading("paused")
                announced = True
            time.sleep(STEP_S)
            snapshot = self.snapshot()

    def watch_supervisor(self, snapshot: LabSnapshot) -> None:
        """Bring the supervisor back when even its restart loop is gone."""
        now = time.monotonic()
        if snapshot.supervisor_alive:
            self._supervised_at = now
        elif now - self._supervised_at > ORPHANED_AFTER_S:
            self._supervised_at = now
            self.pane.heading("the supervisor is gone: starting it again")
            start_supervisor(self.lab, LabServer(socket_name_for(self.lab.root)))


def open_desk(lab: Lab, name: str) -> Desk:
    """Sit down as this agent. Raises LabError when the lab has no such agent, BackendError for an unknown backend."""
    store = Store(lab.db)
    snapshot = read_snapshot(lab, store, time.time())
    agent: Agent | None = snapshot.agent(name)
    if snapshot.campaign is None or agent is None:
        raise LabError(f"there is no agent {name!r}; `autoresearch-tui status` lists them")
    desk = Desk(lab, name, snapshot.campaign.tag, make_backend(agent.backend), store, Repository(lab.root))
    _start_pulse(desk)
    read_typed_lines(lambda line: _deliver(desk, line))
    return desk


def _wanted(snapshot: LabSnapshot, name: str) -> Wanted:
    agent, campaign = snapshot.agent(name), snapshot.campaign
    if agent is None or campaign is None or campaign.state in (CampaignState.STOPPED, CampaignState.FINISHED):
        return Wanted.STOPPED
    if Wanted.STOPPED in (agent.wanted, campaign.wanted):
        return Wanted.STOPPED
    return Wanted.PAUSED if Wanted.PAUSED in (agent.wanted, campaign.wanted) else Wanted.RUNNING


def _start_pulse(desk: Desk) -> None:
    def beat() -> None:
        while True:
            agents.record_heartbeat(desk.store, desk.tag, desk.name, time.time())
            time.sleep(PULSE_S)

    threading.Thread(target=beat, name="pulse", daemon=True).start()


def _deliver(desk: Desk, line: str) -> None:
    agents.send_message(desk.store, desk.tag, (desk.name,), line, "person", time.time())
