"""One draft of a junior: think, edit, and whatever can come of that."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from roles.backend import EditOutcome, EditResult, EditTask
from roles.briefs.tasks import edit_task, hypothesis_of
from roles.loops.agent_process import IDLE_POLL_S, AgentProcess
from roles.pane import stamp
from supervisor.analysis.streaks import ANOTHER_PARENT_AFTER, misses
from supervisor.drafts.junior_workspace import JuniorWorkspace
from supervisor.drafts.repair import mending_of, restore_crashed, settle_crash
from supervisor.model.experiment import Experiment
from supervisor.model.records import Draft
from supervisor.model.snapshot import Hypothesis, LabSnapshot
from supervisor.model.states import PORT, AgentState, Wanted
from supervisor.store import agents
from supervisor.text import one_line

ANSWER_WAIT_S = 600.0  # a question waits this long for the person
HASHED_BYTES = 4 << 20  # of a changed file
ONCE_MORE = (
    "The last attempt ended without an edit and without a reason. Make the edit now; or answer with the result "
    '"thought" or "not-applicable" and say why.'
)


class InterruptedDraft(Exception):  # noqa: N818
    """The agent is to stop or to pause: the draft stays as it is, and is begun afresh later."""


@dataclass(slots=True)
class Drafter:
    """The hands of one junior."""

    process: AgentProcess
    workspace: JuniorWorkspace
    _given_back: set[str] = field(default_factory=set)  # hypotheses; the second time they are withdrawn

    def draft(self, snapshot: LabSnapshot, experiment: Experiment) -> None:
        """Think, edit and hand one experiment over. Raises BackendError; then the draft is still there."""
        process, hypothesis = self.process, hypothesis_of(snapshot, experiment)
        crashed = mending_of(experiment)
        title = hypothesis.title if hypothesis else "an idea of its own"
        verb = "mends" if crashed else "on"
        process.pane.heading(f"{stamp()} {experiment.id} {verb} {experiment.parent_id}: {title}")
        process.state(AgentState.THINKING, doing=f"{experiment.id}: {title}")
        self.workspace.reset_to_parent(experiment)
        repair = restore_crashed(self.workspace, experiment, crashed) if crashed else ""
        process.state(AgentState.EDITING, doing=f"{experiment.id}: {title}")
        try:
            outcome = self._think(snapshot, experiment, repair)
        except InterruptedDraft:
            return
        if outcome.result is not EditResult.EDITED:  # an edit without a title is called by what it changed
            outcome = replace(outcome, title=outcome.title or title)
        if crashed is not None and outcome.result is not EditResult.EDITED:
            why = outcome.explanation or outcome.result.value
            settle_crash(self.workspace, experiment, crashed, why)
            process.pane.verdict(f"{experiment.id} crash: {crashed.reason}", good=False)
            return
        self._settle(experiment, outcome, hypothesis)

    def _think(self, snapshot: LabSnapshot, experiment: Experiment, repair: str) -> EditOutcome:
        """The edit, asked for once more when nothing came of it, or with the answer to a question."""
        messages = self.process.messages()
        before = self._state_of_code(experiment)
        outcome = self._edit(snapshot, experiment, messages, repair, before)
        if outcome.result is EditResult.UNCHANGED:
            self.process.pane.heading("no edit, and no reason: once more")
            again = "\n\n".join(part for part in (repair, ONCE_MORE) if part)
            outcome = self._edit(snapshot, experiment, messages, again, before)
        if outcome.result is EditResult.QUESTION and (answer := self._ask(experiment, outcome.explanation)):
            reply = f"You asked: {one_line(outcome.explanation)} The answer: {answer}"
            outcome = self._edit(self.process.snapshot(), experiment, (*messages, reply), repair, before)
        return outcome

    def _edit(
        self,
        snapshot: LabSnapshot,
        experiment: Experiment,
        messages: tuple[str, ...],
        repair: str,
        before: str,
    ) -> EditOutcome:
        task = edit_task(self.workspace, snapshot, experiment, messages, repair)
        with self.process.step("edit", experiment.id) as step:
            outcome = self._applied(snapshot, task)
            if outcome.result is EditResult.EDITED and self._state_of_code(experiment) == before:
                outcome = replace(outcome, result=EditResult.UNCHANGED)
            step.ended(outcome.result, outcome.cost)
        return outcome

    def _applied(self, snapshot: LabSnapshot, task: EditTask) -> EditOutcome:
        hypothesis, pane = task.hypothesis, self.process.pane
        if hypothesis is not None and hypothesis.category == PORT and hypothesis.edit:
            port = json.loads(hypothesis.edit)
            source = snapshot.experiment(port["port_of"])
            if not task.repair:
                if source is not None and self.workspace.apply_change_of(source):
                    expectation = f"{hypothesis.rationale} It fitted as it was."
                    pane.say(expectation)
                    return EditOutcome(EditResult.EDITED, hypothesis.title, expectation, edit=port["edit"])
                pane.say("the change does not fit as it was; making it anew")
            task = replace(task, hypothesis=replace(hypothesis, edit=port["edit"]))
        return self.process.backend.edit(task, pane)

    def _state_of_code(self, experiment: Experiment) -> str:
        """The worktree beside its parent: what an edit must change to be one."""
        worktree, repository = self.workspace.worktree(), self.workspace.repository
        paths = repository.changed_since(worktree, experiment.parent_commit)
        parts = (f"{path}\0".encode() + _content(worktree / path) for path in paths)
        return hashlib.sha256(b"\0".join(parts)).hexdigest()

    def _ask(self, experiment: Experiment, question: str) -> str:
        """Wait for the person, while what is queued trains; "" when nobody answers. Raises InterruptedDraft."""
        process, deadline = self.process, time.time() + ANSWER_WAIT_S
        question = one_line(question)
        process.pane.heading(f"asks: {question}")
        process.log_event(f"asks: {question}")
        process.state(AgentState.WAITING, doing=f"{experiment.id} waits for an answer", waiting_for=question)
        while time.time() < deadline:
            if agents.has_messages(process.store, process.tag, process.name):
                answer = " ".join(process.messages())
                process.state(AgentState.EDITING, doing=f"{experiment.id}: {experiment.title}")
                return answer
            snapshot = process.snapshot()
            if process.wanted(snapshot) is not Wanted.RUNNING:
                raise InterruptedDraft
            process.watch_supervisor(snapshot)
            time.sleep(IDLE_POLL_S)
        return ""

    def _settle(self, experiment: Experiment, outcome: EditOutcome, hypothesis: Hypothesis | None) -> None:
        workspace, why = self.workspace, outcome.explanation
        match outcome.result:
            case EditResult.EDITED:
                self._hand_over(experiment, outcome)
            case EditResult.THOUGHT:
                self._thought(experiment, outcome.title, why)
            case EditResult.UNCHANGED:
                self._thought(experiment, outcome.title, why or "it ended without an edit, twice")
            case EditResult.NOT_APPLICABLE | EditResult.QUESTION if self._goes_back(
                outcome.result, hypothesis
            ):
                workspace.release(experiment)
                self.process.pane.verdict(f"given back: {why}", good=False)
            case EditResult.NOT_APPLICABLE | EditResult.REFUSED | EditResult.QUESTION:
                lead = {EditResult.REFUSED: "refused: ", EditResult.QUESTION: "asks, and nobody answered: "}
                reason = lead.get(outcome.result, "") + why
                if hypothesis is None:  # there is nothing to withdraw, and it must not begin the same at once
                    self._thought(experiment, outcome.title, reason)
                else:
                    workspace.withdraw(experiment, reason)
                    self.process.pane.verdict(f"withdrawn: {reason}", good=False)

    def _goes_back(self, result: EditResult, hypothesis: Hypothesis | None) -> bool:
        """Whether somebody else may have more luck with it: a question unanswered, or a junior that has none."""
        if hypothesis is None or hypothesis.id in self._given_back:
            return False
        unlucky = len(misses(self.process.snapshot(), self.process.name)) >= ANOTHER_PARENT_AFTER
        if result is EditResult.NOT_APPLICABLE and not unlucky:
            return False
        self._given_back.add(hypothesis.id)
        return True

    def _thought(self, experiment: Experiment, title: str, text: str) -> None:
        self.workspace.record_thought(experiment, title, text)
        self.process.pane.verdict(f"{experiment.id} thought: {text}", good=False)

    def _hand_over(self, experiment: Experiment, outcome: EditOutcome) -> None:
        draft = Draft(
            commit="",
            title=outcome.title,
            expectation=outcome.expectation,
            edit=outcome.edit,
            source_hash="",
            lines_added=0,
            lines_removed=0,
        )
        refusal = self.workspace.hand_over(experiment, draft)
        ready = self.process.snapshot().experiment(experiment.id)
        if ready is not None:
            self.process.pane.diff(self.workspace.diff_of(ready))
        if refusal is not None:
            self.process.pane.verdict(f"{experiment.id} rejected: {refusal}", good=False)


def _content(file: Path) -> bytes:
    try:
        if file.is_symlink():
            return str(file.readlink()).encode()
        with file.open("rb") as opened:
            return f"{file.stat().st_size}\0".encode() + opened.read(HASHED_BYTES)
    except OSError:
        return b""  # gone, or a folder: its path says enough
