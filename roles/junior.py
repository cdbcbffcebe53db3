"""The junior engineer's loop: think, edit, hand over, and reflect while the next one trains."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace

from roles.agent import STEP_S, Desk, open_desk
from roles.backend import BackendError, EditOutcome, EditResult, EditTask
from roles.brief import edit_task, hypothesis_of
from roles.pane import bar, stamp
from supervisor.drafting import Bureau
from supervisor.holdout import without_holdout
from supervisor.judging import PORT
from supervisor.lab import Lab
from supervisor.notes import publish_note
from supervisor.snapshot import Experiment, Hypothesis, LabSnapshot
from supervisor.states import AgentState, ExperimentState, Role, RunState, Verdict
from supervisor.store.experiments import Draft, record_reflection

PLAN_PATIENCE_S = 15.0  # an empty plan is given this long before a junior forms an idea of its own
BACKEND_RETRY_S = 30.0


def run_junior(lab: Lab, name: str) -> int:
    """Work until the campaign is over or the person says stop; returns the exit code."""
    desk = open_desk(lab, name)
    desk.pane.heading(f"{name} ({desk.backend.name}) {stamp()}")
    junior = Junior(desk, Bureau(lab, desk.store, desk.repository, desk.tag, name))
    while True:
        snapshot = desk.snapshot()
        if not desk.may_go_on(snapshot):
            return 0
        desk.watch_supervisor(snapshot)
        try:
            worked = junior.step(snapshot)
        except BackendError as error:
            desk.pane.heading(f"the backend could not do this step: {error}")
            desk.state(AgentState.IDLE, doing=f"tries again soon: {error}")
            time.sleep(BACKEND_RETRY_S)
            continue
        if not worked:
            time.sleep(STEP_S)


@dataclass(slots=True)
class Junior:
    """One junior engineer. All it knows is in the store; it may die at any line."""

    desk: Desk
    bureau: Bureau
    _empty_since: float | None = None

    def step(self, snapshot: LabSnapshot) -> bool:
        """Do one thing; False when there was nothing to do."""
        told = next((e for e in snapshot.experiments if self._is_to_reflect(e)), None)
        if told is not None:
            self.reflect(snapshot, told)
            return True
        draft = self.bureau.open_draft(snapshot)
        if draft is None and self.bureau.has_room(snapshot):
            draft = self._begin(snapshot)
        if draft is not None:
            self.draft(self.desk.snapshot(), draft)
            return True
        self._wait(snapshot)
        return False

    def draft(self, snapshot: LabSnapshot, experiment: Experiment) -> None:
        """Think, edit and hand one experiment over."""
        desk, hypothesis = self.desk, hypothesis_of(snapshot, experiment)
        title = hypothesis.title if hypothesis else "an idea of its own"
        desk.pane.heading(f"{stamp()} {experiment.id} on {experiment.parent_id}: {title}")
        desk.state(AgentState.THINKING, doing=f"{experiment.id}: {title}")
        self.bureau.lay_out(experiment)
        task = edit_task(self.bureau, snapshot, experiment, desk.messages())
        desk.state(AgentState.EDITING, doing=f"{experiment.id}: {title}")
        with desk.step("edit", experiment.id) as step:
            outcome = self._edit(snapshot, task)
            step.ended(outcome.result, outcome.cost)
        match outcome.result:
            case EditResult.THOUGHT:
                self.bureau.record_thought(experiment, outcome.title, outcome.explanation)
                desk.pane.verdict(f"{experiment.id} thought: {outcome.explanation}", good=False)
            case EditResult.UNCHANGED | EditResult.REFUSED | EditResult.QUESTION:
                said = f"{outcome.result}: {outcome.explanation}"
                self.bureau.record_thought(experiment, outcome.title, said)
                desk.pane.verdict(f"{experiment.id} {said}", good=False)
            case EditResult.NOT_APPLICABLE:
                self.bureau.withdraw(experiment, outcome.explanation)
                desk.pane.verdict(f"withdrawn: {outcome.explanation}", good=False)
            case EditResult.EDITED:
                self._hand_over(experiment, outcome)

    def reflect(self, snapshot: LabSnapshot, experiment: Experiment) -> None:
        """Say what a verdict means, for the record and perhaps for everybody."""
        desk = self.desk
        desk.state(AgentState.REFLECTING, doing=f"{experiment.id}: {experiment.verdict}")
        figure = f" {experiment.metric:.4f}" if experiment.metric is not None else ""
        desk.pane.verdict(
            f"{stamp()} {experiment.id} {experiment.verdict}{figure}: {experiment.title} ({experiment.reason})",
            good=experiment.verdict is Verdict.KEEP,
        )
        task = edit_task(self.bureau, snapshot, experiment, ())
        with desk.step("reflect", experiment.id) as step:
            reflection = desk.backend.reflect(task, without_holdout(experiment), desk.pane)
            step.ended("done", reflection.cost)
        if reflection.note_text:
            publish_note(
                self.bureau.lab.notes_dir,
                reflection.note_title,
                reflection.note_text,
                desk.name,
                time.time(),
                experiment.id,
            )
        record_reflection(desk.store, experiment.id, reflection.text or "-")

    def _begin(self, snapshot: LabSnapshot) -> Experiment | None:
        has_chief = any(a.role is Role.CHIEF and a.state is not AgentState.CRASHED for a in snapshot.agents)
        now = time.monotonic()
        waited = self._empty_since is not None and now - self._empty_since > PLAN_PATIENCE_S
        begun = self.bureau.begin(without_hypothesis=waited or not has_chief)
        if begun is None:
            self._empty_since = self._empty_since or now
            return None
        self._empty_since = None
        return self.desk.snapshot().experiment(begun)

    def _edit(self, snapshot: LabSnapshot, task: EditTask) -> EditOutcome:
        hypothesis = task.hypothesis
        if hypothesis is None or hypothesis.category != PORT or not hypothesis.edit:
            return self.desk.backend.edit(task, self.desk.pane)
        ported = json.loads(hypothesis.edit)
        source = snapshot.experiment(ported["port_of"])
        if source is not None and self.bureau.apply_change_of(source):
            expectation = f"{hypothesis.rationale} It fitted as it was."
            self.desk.pane.say(expectation)
            return EditOutcome(EditResult.EDITED, hypothesis.title, expectation, edit=ported["edit"])
        self.desk.pane.say("the change does not fit as it was; making it anew")
        return self.desk.backend.edit(replace(task, hypothesis=_unwrapped(hypothesis)), self.desk.pane)

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
        refusal = self.bureau.hand_over(experiment, draft)
        handed = self.desk.snapshot().experiment(experiment.id)
        if handed is not None:
            self.desk.pane.diff(self.bureau.diff_of(handed))
        if refusal is not None:
            self.desk.pane.verdict(f"{experiment.id} rejected: {refusal}", good=False)

    def _wait(self, snapshot: LabSnapshot) -> None:
        mine = [e for e in snapshot.experiments if e.agent == self.desk.name]
        running = next((r for e in mine for r in e.runs if r.state is RunState.RUNNING), None)
        if running is not None:
            self.desk.pane.live(bar(running))
            self._tell(snapshot, AgentState.WAITING, f"{running.experiment_id} trains")
        elif any(e.state in (ExperimentState.READY, ExperimentState.MEASURING) for e in mine):
            self._tell(snapshot, AgentState.WAITING, "for a device")
        else:
            self._tell(snapshot, AgentState.IDLE, "for a hypothesis")

    def _tell(self, snapshot: LabSnapshot, state: AgentState, doing: str) -> None:
        agent = snapshot.agent(self.desk.name)
        if agent is None or agent.state is not state or agent.doing != doing:
            self.desk.state(state, doing=doing)

    def _is_to_reflect(self, experiment: Experiment) -> bool:
        return (
            experiment.agent == self.desk.name
            and experiment.state is ExperimentState.DECIDED
            and experiment.verdict is not Verdict.THOUGHT
            and not experiment.reflection
        )


def _unwrapped(hypothesis: Hypothesis) -> Hypothesis:
    return replace(hypothesis, edit=json.loads(hypothesis.edit)["edit"])
