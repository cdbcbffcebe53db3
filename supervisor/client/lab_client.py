"""All that is asked of a lab from outside: by the screen, the command line, the MCP server, a script."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sessions.errors import SessionError
from sessions.files import read_tail
from supervisor.client.readings import LabReadings, experiment_named
from supervisor.errors import LabError
from supervisor.lab.config import AgentSpec
from supervisor.lab.notes import publish_note
from supervisor.lab.state_folder import prepare_state
from supervisor.model.snapshot import Hypothesis
from supervisor.model.states import CampaignState, HypothesisState, Role, Wanted
from supervisor.store import agents, campaigns, hypotheses

if TYPE_CHECKING:
    from supervisor.campaign.options import LaunchOptions
    from supervisor.campaign.reclaim import Reclaimable
    from supervisor.client.promotions import PromotionRequests

PERSON = "person"
POLL_S = 0.1
LOG_TAIL_BYTES = 64 * 1024
PANE_LINES = 60  # of what a pane said, where the pane itself is gone


class LabClient(LabReadings):
    """All that is asked of one lab: readings say how it is, requests are rows that agents and the supervisor obey.

    Any call may block, any may raise ExpectedError, and several threads may call at once. What is slow to import
    (statistics, a launch) is imported by the calls that need it.
    """

    # Directing

    def add_note(self, title: str, text: str, experiment_id: str | None = None) -> str:
        """Publish a finding; returns the note's id. Raises LabError for an unknown experiment."""
        if experiment_id is not None:
            experiment_named(self.launched(), experiment_id)
        if not self.lab.notes_dir.is_dir():
            prepare_state(self.lab)
        return publish_note(self.lab.notes_dir, title, text, self.author, time.time(), experiment_id)

    def add_hypothesis(
        self, title: str, change: str = "", rationale: str = "", parent_id: str | None = None
    ) -> str:
        """Put a hypothesis at the head of the plan; returns its id. Raises LabError for an unknown parent."""
        if parent_id is not None:
            experiment_named(self.launched(), parent_id)
        new = Hypothesis(title=title, rationale=rationale, change=change or title, parent_id=parent_id)
        (hypothesis_id,) = hypotheses.add_hypotheses(
            *self._rows, self.author, (new,), HypothesisState.OPEN, time.time(), first=True
        )
        return hypothesis_id

    def approve(self, hypothesis_id: str) -> None:
        """Open a proposed hypothesis for the juniors. Raises LabError."""
        self._set_hypothesis(hypothesis_id, HypothesisState.OPEN)

    def reject(self, hypothesis_id: str) -> None:
        """Take a hypothesis out of the plan. Raises LabError."""
        self._set_hypothesis(hypothesis_id, HypothesisState.WITHDRAWN)

    def _set_hypothesis(self, hypothesis_id: str, state: HypothesisState) -> None:
        hypotheses.set_hypothesis_state(*self._rows, hypothesis_id, state, time.time())

    def move_hypothesis(self, hypothesis_id: str, before: str | None) -> None:
        """Put a hypothesis right before another one, or first. Raises LabError."""
        hypotheses.move_hypothesis(*self._rows, hypothesis_id, before, time.time())

    def send(self, names: Sequence[str], text: str) -> tuple[int, ...]:
        """Leave a message that these agents read before their next step; returns one number per agent."""
        return agents.send_message(*self._rows, names, text, self.author, time.time())

    def unread_messages(self, numbers: Sequence[int]) -> tuple[int, ...]:
        """Those of the messages that were not read yet."""
        return agents.unread_messages(self.store, numbers)

    # Steering

    def add_agent(self, role: Role, backend: str = "") -> tuple[str, str]:
        """Hire one more agent of "backend[:model]", or as the lab's file says; the supervisor starts it.

        Returns its name and backend. Raises LabError for a second chief.
        """
        snapshot = self.launched()
        if role is Role.CHIEF and any(agent.role is Role.CHIEF for agent in snapshot.agents):
            raise LabError("the lab has its chief; `autoresearch-tui restart chief` starts it afresh")
        config = self.lab.config.agents
        number = 1 + sum(agent.role is Role.JUNIOR for agent in snapshot.agents)
        spec = config.chief if role is Role.CHIEF else config.spec_of_junior(number)
        if backend:
            spec = AgentSpec.of_words(backend)
        name = agents.add_agent(
            *self._rows, role, spec.backend, time.time(), model=spec.model, mode=spec.mode
        )
        return name, spec.backend

    def pause(self, names: Sequence[str]) -> None:
        """Ask agents, or with none named the whole lab, for a pause after the current step. Raises LabError."""
        self._want(names, Wanted.PAUSED)

    def resume(self, names: Sequence[str]) -> None:
        """Ask paused or stopped agents, or the whole lab, to go on. Raises LabError."""
        self._want(names, Wanted.RUNNING)

    def stop(self, names: Sequence[str]) -> None:
        """Ask agents, or the whole lab, to end; everything they made stays. Raises LabError."""
        self._want(names, Wanted.STOPPED)

    def take_over(self, name: str) -> None:
        """Ask a junior to leave its place to the person after its current step. Raises LabError."""
        agent = self.launched().agent(name)
        if agent is not None and agent.role is not Role.JUNIOR:
            raise LabError(f"{name} plans; only a junior's place can be taken")
        self._want((name,), Wanted.TAKEN)

    def hand_back(self, name: str) -> None:
        """Let an agent that was taken over go on. Raises LabError."""
        agent = self.launched().agent(name)
        if agent is not None and agent.wanted is not Wanted.TAKEN:
            raise LabError(f"{name} is not taken over; `autoresearch-tui takeover {name}` does that")
        self._want((name,), Wanted.RUNNING)

    def _want(self, names: Sequence[str], wanted: Wanted) -> None:
        if names:
            agents.want_agents(*self._rows, names, wanted, time.time())
        else:
            campaigns.want_campaign(*self._rows, wanted, time.time())

    def restart(self, names: Sequence[str]) -> tuple[str, ...]:
        """Ask the supervisor to start these agents, or all, afresh; returns their names. Raises LabError."""
        names = tuple(names) or tuple(agent.name for agent in self.launched().agents)
        agents.request_restart(*self._rows, names, time.time())
        return tuple(names)

    @cached_property
    def promotions(self) -> PromotionRequests:
        """What is asked about promotions. Raises LabError before the first launch."""
        from supervisor.client.promotions import PromotionRequests

        self.launched()
        return PromotionRequests(self)

    # Starting, and looking at panes

    def launch(self, options: LaunchOptions, say: Callable[[str], None]) -> None:
        """Start, join or resume the lab's campaign; `say` gets a line for each longer step. Raises ExpectedError."""
        from supervisor.campaign.launch import launch

        launch(self.lab, options, say)

    @property
    def attach_takes_terminal(self) -> bool:
        """True where this process does not run on the lab's own tmux server: there attaching is a switch."""
        return self.tmux_socket not in os.environ.get("TMUX", "")

    def attach(self, agent: str) -> int:
        """Show an agent's pane (or "supervisor") in this terminal until the person leaves it; tmux's exit code."""
        self._show_what_it_said(agent)
        windows = self.server.windows()
        if agent not in windows:
            shown = ", ".join(windows) or "none: the lab does not run"
            raise LabError(f"there is no pane of {agent!r}; panes: {shown}")
        status = self.server.attach(agent)
        self.leave_server()
        return status

    def reclaim(self, *, dry_run: bool) -> tuple[tuple[Reclaimable, ...], tuple[str, ...]]:
        """Free what the lab can do without, or only find it; returns that, and a line for each that did not go."""
        from supervisor.campaign.reclaim import reclaim, reclaimable

        things = reclaimable(self.lab)
        return (things, ()) if dry_run else reclaim(self.lab, things)

    def is_under_way(self) -> bool:
        """Whether a campaign runs or is paused."""
        campaign = self.snapshot().campaign if self.lab.db.exists() else None
        return campaign is not None and campaign.state in (CampaignState.RUNNING, CampaignState.PAUSED)

    def leave_server(self) -> None:
        """End the tmux server of a lab that is over and that nobody watches any more."""
        from supervisor.campaign.leave import leave_server

        if self.lab.db.exists():
            leave_server(self.lab, patience_s=0.0)

    def _show_what_it_said(self, agent: str) -> None:
        """Once the lab is over, have a pane with what the agent's own said."""
        saved = self._saved_pane(agent)
        if agent in self.server.windows() or not saved.is_file():
            return
        self.server.ensure_window(agent, ["cat", str(saved)], self.lab.root, {})

    def _last_of_pane(self, agent: str) -> str:
        return "\n".join(read_tail(self._saved_pane(agent), LOG_TAIL_BYTES).splitlines()[-PANE_LINES:])

    def _saved_pane(self, agent: str) -> Path:
        return self.lab.panes_dir / f"{Path(agent).name}.txt"

    def switch_to(self, agent: str) -> None:
        """Switch the terminal of the screen that this process is to an agent's pane. Raises ExpectedError."""
        self._show_what_it_said(agent)
        self.server.show_agent(agent)

    def capture(self, agent: str) -> str:
        """The agent's visible pane with its SGR codes (`capture-pane -e`), "" when it has no pane."""
        try:
            return self.server.capture(agent)
        except SessionError:
            return self._last_of_pane(agent)
