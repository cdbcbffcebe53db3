"""What whoever sits at a junior's place may do: its client, over MCP, or the person who took it over.

The guard, the referee and the limits are those of every junior; only the order of the steps is theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sessions.locks import held
from supervisor.client.lab_client import LabClient
from supervisor.drafts.guard import Refusal
from supervisor.drafts.junior_workspace import JuniorWorkspace
from supervisor.errors import LabError
from supervisor.lab.agent_folder import agent_folder
from supervisor.model.experiment import Experiment
from supervisor.model.records import Draft
from supervisor.model.snapshot import Agent, LabSnapshot
from supervisor.model.states import AgentState, CampaignState, ExperimentState, Mode, Role, Wanted
from supervisor.store.experiments import record_reflection
from supervisor.text import one_line, plain

TITLE_LIMIT = 200  # characters
TEXT_LIMIT = 8000
LOCK_PATIENCE_S = 60.0


def bounded(name: str, text: str, limit: int, *, required: bool = True) -> str:
    """A text of a client's, made safe to keep and print. Raises LabError when it is too long, or empty."""
    safe = plain(text.encode("utf-8", "replace").decode()).strip()
    if required and not safe:
        raise LabError(f"{name} is empty; say it in a few words")
    if len(safe) > limit:
        raise LabError(f"{name} has {len(safe)} characters; {limit} are allowed, shorten it")
    return safe


@dataclass(frozen=True, slots=True)
class Workbench:
    """One junior's place, for whoever sits there."""

    workspace: JuniorWorkspace

    def snapshot(self) -> LabSnapshot:
        """The lab as it is now."""
        return self.workspace.snapshot()

    def agent(self, snapshot: LabSnapshot) -> Agent:
        """The agent whose place it is. Raises LabError when the lab has no such agent any more."""
        return _known(snapshot, self.workspace.agent)

    def is_interactive(self, snapshot: LabSnapshot) -> bool:
        """Whether the agent's own client works here now, and not the person in its place."""
        agent = self.agent(snapshot)
        return agent.mode is Mode.INTERACTIVE and agent.wanted is Wanted.RUNNING

    def claim(self, *, own_idea: bool) -> Experiment:
        """Open an experiment and lay the worktree out for it; the one that is open is given again, edits and all.

        Raises LabError when there is nothing to take or nothing may be begun.
        """
        with self._alone():
            snapshot = self._expect_work()
            draft = self.workspace.open_draft(snapshot)
            if draft is not None and self.workspace.checked_out_commit() == draft.parent_commit:
                return draft
            draft = draft or self._begin(snapshot, own_idea=own_idea)
            self.workspace.reset_to_parent(draft)
            return draft

    def hand_over(self, title: str, expectation: str) -> tuple[Experiment, Refusal | None]:
        """Hand over what is in the worktree now. After a refusal it is still there, to be mended.

        Raises LabError when nothing is changed, or the worktree is not laid out for what would be judged.
        """
        title = one_line(bounded("title", title, TITLE_LIMIT))
        expectation = bounded("expectation", expectation, TEXT_LIMIT)
        with self._alone():
            draft = self._draft_in_worktree()
            refusal = self.workspace.hand_over(draft, Draft("", title, expectation, "", "", 0, 0))
            if refusal is not None:
                self.workspace.move_head(draft.parent_commit)
            return self._again(draft), refusal

    def record_thought(self, text: str) -> Experiment:
        """End the open experiment, or one for an idea of its own, as reasoned and not run. Raises LabError."""
        text = bounded("text", text, TEXT_LIMIT)
        with self._alone():
            snapshot = self._expect_work()
            draft = self.workspace.open_draft(snapshot) or self._begin(snapshot, own_idea=True)
            title = draft.title if draft.hypothesis_id else one_line(text)[:80]
            self.workspace.record_thought(draft, title, text)
            return self._again(draft)

    def reflect(self, experiment_id: str, text: str) -> Experiment:
        """Keep what a verdict taught. Raises LabError for another's experiment, or one without a verdict."""
        text = bounded("text", text, TEXT_LIMIT)
        experiment = self.experiment(self.snapshot(), experiment_id)
        if experiment.agent != self.workspace.agent:
            raise LabError(f"{experiment.id} is {experiment.agent or 'the baseline'}'s; reflect on your own")
        if experiment.state is not ExperimentState.DECIDED:
            raise LabError(f"{experiment.id} has no verdict yet; wait for it first")
        record_reflection(self.workspace.store, experiment.id, text)
        return experiment

    def experiment(self, snapshot: LabSnapshot, experiment_id: str) -> Experiment:
        """The experiment of that id. Raises LabError."""
        experiment = next((e for e in snapshot.experiments if e.id == experiment_id.strip()), None)
        if experiment is None:
            name = one_line(experiment_id)[:40]
            raise LabError(f"there is no experiment {name!r}; ids look like e0012, run_experiment gives them")
        return experiment

    def start_afresh(self) -> Experiment | None:
        """Lay the worktree out as its next experiment begins, whatever was in it; returns that one's parent.

        Raises LabError while somebody else works in it.
        """
        with self._alone():
            return self._lay_out_next(self._expect_work())

    def take_place(self) -> None:
        """Lay the worktree out, unless it stands where the next experiment begins: then its edits stay.

        For the agent's own process, which knows that nobody else works in it. Raises LabError.
        """
        with self._alone():
            snapshot = self.snapshot()
            draft = self.workspace.open_draft(snapshot)
            incumbent = snapshot.experiment(self.agent(snapshot).incumbent_id)
            begins = draft.parent_commit if draft else incumbent.commit if incumbent else None
            if self.workspace.checked_out_commit() != begins:
                self._lay_out_next(snapshot)

    def _lay_out_next(self, snapshot: LabSnapshot) -> Experiment | None:
        draft = self.workspace.open_draft(snapshot)
        parent = snapshot.experiment(draft.parent_id if draft else self.agent(snapshot).incumbent_id)
        if draft is not None:
            self.workspace.reset_to_parent(draft)
        elif parent is not None and parent.commit is not None:
            self.workspace.reset_to(parent.commit)
        return parent

    def _draft_in_worktree(self) -> Experiment:
        snapshot = self._expect_work()
        checked_out = self.workspace.checked_out_commit()
        draft = self.workspace.open_draft(snapshot)
        incumbent = snapshot.experiment(self.agent(snapshot).incumbent_id)
        parent = draft.parent_commit if draft else incumbent.commit if incumbent else None
        if checked_out is None or checked_out != parent:
            raise LabError(
                "your worktree is not laid out on what you build on now; claim_hypothesis lays it out, "
                "what is in it now is lost by that"
            )
        if not self.workspace.changed(checked_out):
            files = ", ".join(self.workspace.canvas(checked_out)[:3])
            raise LabError(f"nothing is changed in {self.workspace.worktree()}; edit {files} there first")
        return draft or self._begin(snapshot, own_idea=True)

    def _begin(self, snapshot: LabSnapshot, *, own_idea: bool) -> Experiment:
        if not self.workspace.has_room(snapshot):
            raise LabError("as many experiments as may wait are under way; wait for one of them first")
        experiment_id = self.workspace.begin(without_hypothesis=False, own_idea=own_idea)
        if experiment_id is None:
            raise LabError(
                "the plan has nothing to take, or the run's last experiments are under way; "
                "try an idea of your own (own_idea=true), or wait for a verdict"
            )
        experiment = self.snapshot().experiment(experiment_id)
        assert experiment is not None
        return experiment

    def _again(self, experiment: Experiment) -> Experiment:
        return self.snapshot().experiment(experiment.id) or experiment

    def _expect_work(self) -> LabSnapshot:
        snapshot = self.snapshot()
        if reason := why_not(snapshot, self.agent(snapshot)):
            raise LabError(reason)
        return snapshot

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # One worktree: a client's parallel calls, and the person's, come one after the other.
        lock = agent_folder(self.workspace.lab.state_dir, self.workspace.agent) / "workbench.lock"
        with held(lock, LOCK_PATIENCE_S) as mine:
            if not mine:
                raise LabError("another call still works in this worktree; try again when it has answered")
            yield


def why_not(snapshot: LabSnapshot, agent: Agent) -> str:
    """Why nobody may work in this agent's place now, in one line; "" when somebody may."""
    campaign = snapshot.campaign
    if agent.role is not Role.JUNIOR:
        return f"{agent.name} plans; experiments are a junior's, name one with --agent"
    if (
        campaign is None
        or campaign.state is not CampaignState.RUNNING
        or campaign.wanted is not Wanted.RUNNING
    ):
        return "the lab does not run; `autoresearch-tui resume` or `launch` goes on"
    match agent.wanted:
        case Wanted.TAKEN:
            at_rest = agent.state is AgentState.PAUSED
            return "" if at_rest else f"{agent.name} ends its current step first; try again in a few seconds"
        case Wanted.PAUSED | Wanted.STOPPED:
            return f"{agent.name} is {agent.wanted}; `autoresearch-tui resume {agent.name}` lets it go on"
        case Wanted.RUNNING if agent.mode is Mode.HEADLESS:
            return f"{agent.name} works by itself; `autoresearch-tui takeover {agent.name}` first"
    return ""


def open_workbench(client: LabClient, name: str) -> Workbench:
    """Sit down at this agent's place. Raises LabError before the first launch, or for an unknown agent."""
    agent = _known(client.launched(), name)
    return Workbench(JuniorWorkspace(client.lab, client.store, client.repository, client.tag, agent.name))


def _known(snapshot: LabSnapshot, name: str) -> Agent:
    agent = snapshot.agent(name)
    if agent is None:
        names = ", ".join(each.name for each in snapshot.agents) or "none: launch the lab first"
        raise LabError(f"there is no agent {one_line(name)[:40]!r}; there are: {names}")
    return agent
