"""What widgets tell the app: what is selected, what should be read, what the lab is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message
from textual.message_pump import MessagePump

from supervisor.model.snapshot import LabSnapshot
from tui.lab_access.port import Agents, LabPort


@dataclass
class LabRead(Message):
    """A new snapshot is there."""

    snapshot: LabSnapshot


@dataclass
class LabUnreadable(Message):
    """The lab could not be read; what is shown gets older."""

    reason: str


@dataclass
class AgentHighlighted(Message):
    """The cursor is on an agent."""

    name: str | None


@dataclass
class ExperimentHighlighted(Message):
    """The cursor is on an experiment."""

    experiment_id: str


@dataclass
class CursorMoved(Message):
    """Another item of some list is selected."""


@dataclass
class OpenRequested(Message):
    """The person clicked on the row under the cursor, or pressed enter."""


@dataclass
class LeaveRequested(Message):
    """The person closes the screen."""


@dataclass(frozen=True)
class Diff:
    """The change of an experiment."""

    experiment_id: str

    def read(self, port: LabPort) -> str:
        """The text. Raises LabRequestError."""
        return port.diff(self.experiment_id)


@dataclass(frozen=True)
class LogTail:
    """The last part of a run's output."""

    run_id: str

    def read(self, port: LabPort) -> str:
        """The text. Raises LabRequestError."""
        return port.log_tail(self.run_id)


@dataclass(frozen=True)
class NoteText:
    """A note's Markdown."""

    note_id: str

    def read(self, port: LabPort) -> str:
        """The text. Raises LabRequestError."""
        return port.note_text(self.note_id)


@dataclass(frozen=True)
class PaneText:
    """An agent's visible pane, with its SGR codes."""

    agent: str

    def read(self, port: LabPort) -> str:
        """The text. Raises LabRequestError."""
        return port.capture(self.agent)


@dataclass(frozen=True)
class PromotionDiff:
    """What a promotion changes on main, as it is prepared now."""

    number: int
    commit: str

    def read(self, port: LabPort) -> str:
        """The text. Raises LabRequestError."""
        return port.promotion_diff(self.number)


@dataclass(frozen=True)
class LastPromotion:
    """What can be taken off main."""

    def read(self, port: LabPort) -> str:
        """The text. Raises LabRequestError."""
        return port.last_promotion()


Reading = Diff | LogTail | NoteText | PaneText | PromotionDiff | LastPromotion


@dataclass
class ReadingWanted(Message):
    """A widget shows something that has to be read first; the answer comes to it as `ReadingDone`."""

    reader: MessagePump
    reading: Reading


@dataclass
class ReadingDone(Message):
    """The text that a widget wanted, or why there is none."""

    reading: Reading
    text: str
    problem: str = ""


@dataclass
class AttachRequested(Message):
    """The person wants to see an agent's own pane."""

    agent: str


@dataclass
class PromoteRequested(Message):
    """These names, or the champion, are to be measured against main; the evidence is shown."""

    names: tuple[str, ...]


@dataclass
class PromotionOpened(Message):
    """The person wants to see a promotion."""

    number: int


@dataclass
class LabRequested(Message):
    """Something is asked of the lab. What comes of it shows in the next snapshot."""

    def carry_out(self, port: LabPort) -> str:
        """Ask, in a thread; returns the line that tells the person so. Raises LabRequestError."""
        raise NotImplementedError


@dataclass
class PauseRequested(LabRequested):
    """Agents are to pause; empty: all."""

    agents: Agents

    def carry_out(self, port: LabPort) -> str:
        """See LabRequested."""
        port.pause(self.agents)
        return f"{_names(self.agents)} will pause after the current step"


@dataclass
class ResumeRequested(LabRequested):
    """Agents are to go on; empty: all."""

    agents: Agents

    def carry_out(self, port: LabPort) -> str:
        """See LabRequested."""
        port.resume(self.agents)
        return f"{_names(self.agents)} will go on"


@dataclass
class StopRequested(LabRequested):
    """Agents are to stop."""

    agents: Agents

    def carry_out(self, port: LabPort) -> str:
        """See LabRequested."""
        port.stop(self.agents)
        return f"{_names(self.agents)} will stop · r starts it again"


@dataclass
class RestartRequested(LabRequested):
    """Agents are to start afresh."""

    agents: Agents

    def carry_out(self, port: LabPort) -> str:
        """See LabRequested."""
        port.restart(self.agents)
        return f"{_names(self.agents)} will start afresh"


@dataclass
class MessageRequested(LabRequested):
    """The person wrote to agents."""

    agents: Agents
    text: str

    def carry_out(self, port: LabPort) -> str:
        """See LabRequested."""
        port.send(self.agents, self.text)
        return f"left for {_names(self.agents)} · read before the next step"


@dataclass
class HypothesisRequested(LabRequested):
    """The person has an idea."""

    text: str

    def carry_out(self, port: LabPort) -> str:
        """See LabRequested."""
        port.add_hypothesis(self.text)
        return "added at the head of the plan"


@dataclass
class ApprovalRequested(LabRequested):
    """The person says yes to a proposed hypothesis."""

    hypothesis_id: str

    def carry_out(self, port: LabPort) -> str:
        """See LabRequested."""
        port.approve(self.hypothesis_id)
        return f"{self.hypothesis_id} is open"


@dataclass
class JuniorRequested(LabRequested):
    """One more junior engineer."""

    def carry_out(self, port: LabPort) -> str:
        """See LabRequested."""
        port.add_junior()
        return "a junior engineer is on the way"


@dataclass
class LandRequested(LabRequested):
    """The person says yes to what was measured."""

    number: int

    def carry_out(self, port: LabPort) -> str:
        """See LabRequested."""
        return port.land(self.number)


@dataclass
class DeclineRequested(LabRequested):
    """The person says no."""

    number: int

    def carry_out(self, port: LabPort) -> str:
        """See LabRequested."""
        port.decline(self.number)
        return f"promotion {self.number} is declined; main stays as it is"


@dataclass
class RollbackRequested(LabRequested):
    """The last promotion is to be taken back."""

    def carry_out(self, port: LabPort) -> str:
        """See LabRequested."""
        return port.roll_back()


def _names(agents: Agents) -> str:
    return ", ".join(agents) if agents else "everybody"
