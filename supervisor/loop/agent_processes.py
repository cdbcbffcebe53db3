"""Keeping the agents' processes alive: one tmux window each, restarted with back-off, given up with a reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from sessions.processes.marks import mark_of_agent
from sessions.tmux.server import PaneState
from sessions.tmux.terminal import TmuxServer
from supervisor.lab.paths import Lab
from supervisor.lab.programs import agent_argv
from supervisor.model.snapshot import Agent, Campaign, LabSnapshot
from supervisor.model.states import AgentState, CampaignState, Wanted
from supervisor.store import agents
from supervisor.store.connection import Store

GIVE_UP_AFTER = 5  # deaths in a row
HEALTHY_AFTER_S = 60.0  # a process that lived this long starts the count anew
SILENT_AFTER_S = 90.0  # its heartbeat comes from a thread of its own every few seconds


@dataclass(slots=True)
class AgentProcesses:
    """The agents' windows on the lab's own tmux server."""

    lab: Lab
    store: Store
    server: TmuxServer
    _started_at: dict[str, float] = field(default_factory=dict)

    def keep(self, snapshot: LabSnapshot, now: float) -> None:
        """Start what should run and does not; end what hangs or was asked to restart."""
        campaign = snapshot.campaign
        if campaign is None or campaign.state not in (CampaignState.RUNNING, CampaignState.PAUSED):
            return
        windows = self.server.windows()
        restarts = agents.restarts_wanted(self.store, campaign.tag)
        for agent in snapshot.agents:
            if agent.wanted is Wanted.STOPPED:
                self._started_at.pop(agent.name, None)  # its end is no death, whenever it comes back
            if agent.name in restarts:
                self._start(agent, now)
                agents.close_restart(self.store, campaign.tag, agent.name)
            elif agent.wanted is not Wanted.STOPPED and agent.state is not AgentState.CRASHED:
                self._keep_one(campaign, agent, windows.get(agent.name), now)

    def _keep_one(self, campaign: Campaign, agent: Agent, window: PaneState | None, now: float) -> None:
        if window is None or (window.dead and agent.name not in self._started_at):
            self._start(agent, now)  # what ended before this supervisor's time is no death of now
            return
        started_at = self._started_at.setdefault(agent.name, now)
        silent = agent.heartbeat_at is not None and now - max(agent.heartbeat_at, started_at) > SILENT_AFTER_S
        if not window.dead and not silent:
            if agent.restarts and now - started_at > HEALTHY_AFTER_S:
                agents.record_agent_death(self.store, campaign.tag, agent.name, 0, now, "healthy again")
            return
        if now - started_at < min(2.0**agent.restarts, 60.0):
            return
        deaths = agent.restarts + 1
        why = "its process went silent" if silent else "its process ended"
        if deaths >= GIVE_UP_AFTER:
            text = (
                f"{why} {deaths} times in a row; see its pane, then `autoresearch-tui restart {agent.name}`"
            )
            agents.record_agent_death(self.store, campaign.tag, agent.name, deaths, now, text)
            agents.set_agent_state(self.store, campaign.tag, agent.name, AgentState.CRASHED, now, doing=text)
            return
        agents.record_agent_death(self.store, campaign.tag, agent.name, deaths, now, f"{why}; started again")
        self._start(agent, now)

    def _start(self, agent: Agent, now: float) -> None:
        self.server.close_window(agent.name)
        argv = agent_argv(self.lab, agent.name)
        self.server.ensure_window(agent.name, argv, self.lab.root, mark_of_agent(agent.name))
        self._started_at[agent.name] = now
