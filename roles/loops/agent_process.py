"""What every agent's process does beside its role: pulse, pause, messages, and a watch on the supervisor."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from roles.backend import Backend, BackendContext, BackendError, SpentError
from roles.backends.clients.catalogue_files import user_folder
from roles.backends.registry import make_backend
from roles.loops.step_record import StepRecord
from roles.pane import Pane, read_typed_lines
from sessions.git.repository import Repository
from sessions.tmux.terminal import TmuxServer, socket_name_for
from supervisor.analysis.limits import spent_out
from supervisor.campaign.launch import start_supervisor
from supervisor.drafts.junior_workspace import JuniorWorkspace
from supervisor.errors import LabError
from supervisor.lab.agent_folder import agent_folder
from supervisor.lab.paths import Lab
from supervisor.model.snapshot import Agent, LabSnapshot
from supervisor.model.states import AgentState, CampaignState, Role, Wanted
from supervisor.snapshot_reader import LabReader
from supervisor.store import agents, campaigns
from supervisor.store.connection import Store
from supervisor.store.steps import record_step

PULSE_S = 5.0
IDLE_POLL_S = 0.5  # how often an idle agent looks whether there is something to do
ORPHANED_AFTER_S = 20.0  # without a supervisor; its own restart loop comes first


@dataclass(slots=True)
class AgentProcess:
    """One agent's process."""

    lab: Lab
    name: str
    tag: str
    backend: Backend
    store: Store
    reader: LabReader
    repository: Repository
    pane: Pane = field(default_factory=Pane)
    _supervised_at: float = field(default_factory=time.monotonic)
    _unheard: tuple[str, ...] = ()  # messages whose step failed: the next one is told of them again

    def snapshot(self) -> LabSnapshot:
        """The lab as it is now."""
        return self.reader.read()

    def state(self, state: AgentState, *, doing: str = "", waiting_for: str = "") -> None:
        """Tell everybody what this agent does now."""
        agents.set_agent_state(
            self.store, self.tag, self.name, state, time.time(), doing=doing, waiting_for=waiting_for
        )

    def log_event(self, text: str) -> None:
        """Put it into the lab's log, as this agent's."""
        campaigns.log_event(self.store, self.tag, time.time(), self.name, text)

    def workspace(self) -> JuniorWorkspace:
        """What this agent, a junior, asks of the lab."""
        return JuniorWorkspace(self.lab, self.store, self.repository, self.tag, self.name)

    @contextmanager
    def step(self, kind: str, experiment_id: str | None) -> Iterator[StepRecord]:
        """A call of the backend; what it cost is kept however it ends."""
        self._expect_budget()
        record = StepRecord(kind, experiment_id)
        try:
            yield record
        except BackendError as error:
            record.failed(error)
            raise
        else:
            if kind != "reflect":  # a reflection is told nothing
                self._unheard = ()
        finally:
            record_step(self.store, self.tag, record.row(self.name, self.backend.name))

    def _expect_budget(self) -> None:
        snapshot = self.snapshot()
        agent = snapshot.agent(self.name)
        if agent is not None and (why := spent_out(snapshot, agent)):
            raise SpentError(why)

    def messages(self) -> tuple[str, ...]:
        """What the person said since the last step that succeeded; each is acknowledged in the pane, once."""
        texts = agents.take_messages(self.store, self.tag, self.name, time.time())
        for text in texts:
            self.pane.heading(f"from the person: {text}")
        self._unheard = (*self._unheard, *texts)
        return self._unheard

    def has_messages(self) -> bool:
        """Whether there is something that a next step should be told."""
        return bool(self._unheard) or agents.has_messages(self.store, self.tag, self.name)

    def may_go_on(self, snapshot: LabSnapshot) -> bool:
        """False when this agent should end; waits here while it is paused."""
        announced = False
        while True:
            wanted = self.wanted(snapshot)
            if wanted is Wanted.STOPPED:
                self.state(AgentState.STOPPED)
                self.pane.heading("stopped")
                return False
            if wanted is Wanted.RUNNING:
                return True
            if wanted is Wanted.TAKEN:
                self._lend_pane()
            elif not announced:
                self.state(AgentState.PAUSED)
                self.pane.heading("paused")
                announced = True
            time.sleep(IDLE_POLL_S)
            snapshot = self.snapshot()

    def wanted(self, snapshot: LabSnapshot) -> Wanted:
        """What the person wants of this agent, or of the whole lab."""
        agent, campaign = snapshot.agent(self.name), snapshot.campaign
        if (
            agent is None
            or campaign is None
            or campaign.state in (CampaignState.STOPPED, CampaignState.FINISHED)
            or Wanted.STOPPED in (agent.wanted, campaign.wanted)
        ):
            return Wanted.STOPPED
        if agent.wanted is Wanted.TAKEN:
            return Wanted.TAKEN
        return Wanted.PAUSED if Wanted.PAUSED in (agent.wanted, campaign.wanted) else Wanted.RUNNING

    def _lend_pane(self) -> None:
        from roles.workbench.takeover import lend_pane
        from roles.workbench.workbench import Workbench

        self.pane.heading("taken over")
        lend_pane(
            Workbench(self.workspace()), self.pane, lambda: self.wanted(self.snapshot()) is Wanted.TAKEN
        )

    def watch_supervisor(self, snapshot: LabSnapshot) -> None:
        """Bring the supervisor back when even its restart loop is gone."""
        now = time.monotonic()
        if snapshot.supervisor_alive:
            self._supervised_at = now
        elif now - self._supervised_at > ORPHANED_AFTER_S:
            self._supervised_at = now
            self.pane.heading("the supervisor is gone: starting it again")
            start_supervisor(self.lab, TmuxServer(socket_name_for(self.lab.root)))


def open_agent_process(lab: Lab, name: str, backend: Backend | None = None) -> AgentProcess:
    """Be this agent. Raises LabError when the lab has no such agent, BackendError for an unknown backend.

    With a `backend` of the caller's own, the pane's keys are the caller's too.
    """
    store = Store(lab.db)
    reader = LabReader(lab, store)
    snapshot = reader.read()
    agent: Agent | None = snapshot.agent(name)
    if snapshot.campaign is None or agent is None:
        raise LabError(f"there is no agent {name!r}; `autoresearch-tui status` lists them")
    spec = lab.config.agents.spec_like(agent.backend, chief=agent.role is Role.CHIEF)
    folder = agent_folder(lab.state_dir, name)
    context = BackendContext(name, agent.model, lab.root, folder, spec.auth, spec.command, user_folder(lab))
    process = AgentProcess(
        lab,
        name,
        snapshot.campaign.tag,
        backend or make_backend(agent.backend, context),
        store,
        reader,
        Repository(lab.root),
    )
    _start_pulse(process)
    if backend is None:
        read_typed_lines(lambda line: _deliver(process, line))
    return process


def _start_pulse(process: AgentProcess) -> None:
    def beat() -> None:
        while True:
            agents.record_heartbeat(process.store, process.tag, process.name, time.time())
            time.sleep(PULSE_S)

    threading.Thread(target=beat, name="pulse", daemon=True).start()


def _deliver(process: AgentProcess, line: str) -> None:
    agents.send_message(process.store, process.tag, (process.name,), line, "person", time.time())
