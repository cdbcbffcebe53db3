"""`LabPort`: all that the screen asks of a lab. One implementation speaks to the store and to tmux."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from supervisor.model.snapshot import LabSnapshot

Agents = Sequence[str]  # names; empty: every agent of the lab


class LabRequestError(Exception):
    """The lab could not do what was asked; the text is one line that says why and what to do."""


class LabPort(Protocol):
    """A lab as the screen sees it.

    Every method may block and is called in a thread, several at a time. Any may raise `LabRequestError`,
    which is shown to the person; other exceptions are faults of ours and end the app.
    """

    @property
    def attach_takes_terminal(self) -> bool:
        """True when `attach` needs this terminal for itself; the screen steps aside while it runs."""

    def snapshot(self) -> LabSnapshot:
        """The lab as it is now."""

    def wait_for_change(self, timeout_s: float) -> bool:
        """Block until the lab changed since the last call (True) or the time is over (False)."""

    def diff(self, experiment_id: str) -> str:
        """The experiment's change as a unified diff, "" while there is none."""

    def log_tail(self, run_id: str) -> str:
        """The last part of the run's run.log, "" before there is one."""

    def note_text(self, note_id: str) -> str:
        """The note's Markdown, without its front matter."""

    def capture(self, agent: str) -> str:
        """The agent's visible pane with its SGR codes (`capture-pane -e`), "" when it has no pane."""

    def attach(self, agent: str) -> None:
        """Show the agent's pane to the person; returns when they are back, or at once after a switch."""

    def send(self, agents: Agents, text: str) -> None:
        """Leave a message that the agents read before their next step."""

    def pause(self, agents: Agents) -> None:
        """Ask for a pause after the current step."""

    def resume(self, agents: Agents) -> None:
        """Ask paused or stopped agents to go on."""

    def stop(self, agents: Agents) -> None:
        """Ask the agents to end; everything they made stays."""

    def restart(self, agents: Agents) -> None:
        """End the agents' processes and start them afresh, with their count of deaths at zero."""

    def add_junior(self) -> None:
        """Ask for one more junior engineer."""

    def add_hypothesis(self, text: str) -> None:
        """Put the person's hypothesis at the head of the plan."""

    def promote(self, names: Sequence[str]) -> int:
        """Have the champion, or what is named, measured against main; returns the promotion's number."""

    def promotion_diff(self, number: int) -> str:
        """What the promotion changes on main as a unified diff, "" while nothing is prepared."""

    def land(self, number: int) -> str:
        """The person's yes: put it on main; returns what came of it, in words."""

    def decline(self, number: int) -> None:
        """End a promotion, also one that is being measured; main stays as it is."""

    def last_promotion(self) -> str:
        """What `roll_back` would take off main, in words."""

    def roll_back(self) -> str:
        """Take the last promotion off main; returns what came of it, in words."""

    def approve(self, hypothesis_id: str) -> None:
        """Open a proposed hypothesis for the juniors."""
