"""The actions that ask something of the lab: each posts a message, after a question where one is due."""

from __future__ import annotations

from textual.reactive import reactive
from textual.screen import Screen

from supervisor.errors import LabError
from supervisor.model.snapshot import Agent, Hypothesis, LabSnapshot
from supervisor.model.states import Role
from supervisor.promotion.candidates import open_wish, promotion_of
from tui.screen.messages import (
    ApprovalRequested,
    AttachRequested,
    HypothesisRequested,
    JuniorRequested,
    LastPromotion,
    MessageRequested,
    PauseRequested,
    PromoteRequested,
    PromotionOpened,
    ReadingDone,
    ReadingWanted,
    RestartRequested,
    ResumeRequested,
    RollbackRequested,
    StopRequested,
)
from tui.screen.panels.promotion_lines import price_of
from tui.screen.widgets.dialogs import Ask, Confirm
from tui.views.text import plain


class Requests(Screen[None]):
    """What of the lab's screen speaks to the lab."""

    snapshot: reactive[LabSnapshot | None] = reactive(None)

    @property
    def focused_agent(self) -> Agent | None:
        """The agent under the cursor, when the focus is on it."""
        raise NotImplementedError

    @property
    def focused_hypothesis(self) -> Hypothesis | None:
        """The hypothesis under the cursor, when the focus is on it."""
        raise NotImplementedError

    def action_attach(self) -> None:
        """See the table of commands; so for all actions here."""
        if agent := self.focused_agent:
            self.post_message(AttachRequested(agent.name))

    def action_pause(self) -> None:
        """Ask for a pause."""
        if agent := self.focused_agent:
            self.post_message(PauseRequested((agent.name,)))

    def action_resume(self) -> None:
        """Ask to go on."""
        if agent := self.focused_agent:
            self.post_message(ResumeRequested((agent.name,)))

    def action_stop(self) -> None:
        """Ask the person, then the lab."""
        if agent := self.focused_agent:
            name = agent.name
            stays = (
                "Its branch, commits, notes and results stay. A training run under way goes on"
                " to its end and is counted. r starts the agent again."
            )
            self._if_sure(f"Stop {name}?", stays, StopRequested((name,)))

    def action_restart(self) -> None:
        """Ask the person, then the lab."""
        if agent := self.focused_agent:
            name = agent.name
            stays = (
                "Its process ends and a new one takes over where the lab stands. An edit under way is lost."
            )
            self._if_sure(f"Start {name} afresh?", stays, RestartRequested((name,)))

    def action_message(self) -> None:
        """A line for the agent."""
        if agent := self.focused_agent:
            self._write_to((agent.name,), f"Message to {agent.name}")

    def action_message_all(self) -> None:
        """A line for all juniors."""
        agents = self.snapshot.agents if self.snapshot else ()
        juniors = tuple(agent.name for agent in agents if agent.role is Role.JUNIOR)
        self._write_to(juniors, f"Message to {', '.join(juniors)}")

    def action_hypothesis(self) -> None:
        """A line for the plan."""

        def answered(text: str | None) -> None:
            if text:
                self.post_message(HypothesisRequested(text))

        hint = "What to change, and why it should help. It goes to the head of the plan."
        self.app.push_screen(Ask("A hypothesis of yours", hint), answered)

    def action_new_junior(self) -> None:
        """Ask the person, then the lab."""
        stays = "It gets a branch and a worktree of its own, and shares the devices. x stops it again."
        self._if_sure("Add a junior engineer?", stays, JuniorRequested())

    @property
    def promotable(self) -> tuple[str, ...]:
        """The experiment or agent under the cursor that a promotion can be of; () means the champion."""
        raise NotImplementedError

    def action_promote(self) -> None:
        """Show the promotion that is open, or ask the person whether to begin one."""
        if self.snapshot is None:
            return
        names = self.promotable
        try:
            begun = open_wish(self.snapshot, names)
            title = "" if begun else promotion_of(self.snapshot, names).title
        except LabError as error:
            self.notify(plain(str(error)), severity="error", markup=False)
            return
        if begun:
            self.post_message(PromotionOpened(begun.number))
        else:
            stays = f"{price_of(self.snapshot)} Main changes only when you say yes to what they show."
            self._if_sure(f"Measure “{plain(title)}” against main?", stays, PromoteRequested(names))

    def action_roll_back(self) -> None:
        """Find out what that would be; the person is asked then."""
        self.post_message(ReadingWanted(self, LastPromotion()))

    def on_reading_done(self, message: ReadingDone) -> None:
        """What can be rolled back is known."""
        if message.problem:
            self.notify(plain(message.problem), severity="error", markup=False)
            return
        stays = (
            "One commit on main reverts it; what you committed since stays. Nothing is measured again, and "
            "`P` brings it back."
        )
        self._if_sure(f"Take {plain(message.text)} off main?", stays, RollbackRequested())

    def action_approve(self) -> None:
        """Say yes to the hypothesis."""
        if hypothesis := self.focused_hypothesis:
            self.post_message(ApprovalRequested(hypothesis.id))

    def _write_to(self, agents: tuple[str, ...], title: str) -> None:
        def answered(text: str | None) -> None:
            if text:
                self.post_message(MessageRequested(agents, text))

        self.app.push_screen(
            Ask(title, "Read before the next step; nothing that runs is interrupted."), answered
        )

    def _if_sure(
        self,
        question: str,
        stays: str,
        request: StopRequested | RestartRequested | JuniorRequested | PromoteRequested | RollbackRequested,
    ) -> None:
        def answered(sure: bool | None) -> None:
            if sure:
                self.post_message(request)

        self.app.push_screen(Confirm(question, stays), answered)
