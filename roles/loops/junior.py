"""The junior engineer's loop: think, edit, hand over, and reflect while the next one trains."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from roles.backend import BackendError, ParkedError, Reflection
from roles.briefs.tasks import reflect_task
from roles.loops.agent_process import AgentProcess, open_agent_process
from roles.loops.backoff import run_steps
from roles.loops.draft import Drafter
from roles.pane import bar, stamp
from supervisor.analysis.holdout import without_holdout
from supervisor.drafts.junior_workspace import JuniorWorkspace
from supervisor.lab.notes import publish_note
from supervisor.lab.paths import Lab
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import AgentState, ExperimentState, Role, RunState, Verdict
from supervisor.store.campaigns import chief_had_nothing
from supervisor.store.experiments import record_reflection
from supervisor.text import figure

EMPTY_PLAN_WAIT_S = 15.0  # an empty plan is given this long before a junior forms an idea of its own
REFLECT_TRIES = 3  # then a verdict stays without a reflection


def run_junior(lab: Lab, name: str) -> int:
    """Work until the campaign is over or the person says stop; returns the exit code."""
    process = open_agent_process(lab, name)
    workspace = process.workspace()
    return run_steps(process, Junior(process, workspace, Drafter(process, workspace)).step)


@dataclass(slots=True)
class Junior:
    """One junior engineer. All it knows is in the store; it may die at any line."""

    process: AgentProcess
    workspace: JuniorWorkspace
    drafter: Drafter
    _empty_since: float | None = None
    _unreflected: Counter[str] = field(default_factory=Counter)  # failures to reflect, by experiment

    def step(self, snapshot: LabSnapshot) -> bool:
        """Do one thing; False when there was nothing to do."""
        decided = next((e for e in snapshot.experiments if self._is_to_reflect(e)), None)
        if decided is not None:
            self.reflect(snapshot, decided)
            return True
        draft = self.workspace.open_draft(snapshot)
        if draft is None and self.workspace.has_room(snapshot):
            draft = self._begin(snapshot)
        if draft is not None:
            self.drafter.draft(self.process.snapshot(), draft)
            return True
        self._wait(snapshot)
        return False

    def reflect(self, snapshot: LabSnapshot, experiment: Experiment) -> None:
        """Say what a verdict means, for the record and perhaps for everybody."""
        process = self.process
        process.state(AgentState.REFLECTING, doing=f"{experiment.id}: {experiment.verdict}")
        score = f" {figure(experiment.metric)}" if experiment.metric is not None else ""
        process.pane.verdict(
            f"{stamp()} {experiment.id} {experiment.verdict}{score}: {experiment.title} ({experiment.reason})",
            good=experiment.verdict is Verdict.KEEP,
        )
        reflection = self._reflection(snapshot, experiment)
        if reflection.note_text:
            publish_note(
                self.workspace.lab.notes_dir,
                reflection.note_title,
                reflection.note_text,
                process.name,
                time.time(),
                experiment.id,
            )
        record_reflection(process.store, experiment.id, reflection.text or "-")

    def _reflection(self, snapshot: LabSnapshot, experiment: Experiment) -> Reflection:
        """Raises BackendError, but not for ever: drafting must go on."""
        process, task = self.process, reflect_task(self.workspace, snapshot, experiment)
        try:
            with process.step("reflect", experiment.id) as step:
                reflection = process.backend.reflect(task, without_holdout(experiment), process.pane)
                step.ended("done", reflection.cost)
        except ParkedError:
            raise
        except BackendError as error:
            self._unreflected[experiment.id] += 1
            if self._unreflected[experiment.id] < REFLECT_TRIES:
                raise
            return Reflection(f"(no reflection: {error})")
        return reflection

    def _begin(self, snapshot: LabSnapshot) -> Experiment | None:
        has_chief = any(a.role is Role.CHIEF and a.state is not AgentState.CRASHED for a in snapshot.agents)
        now = time.monotonic()
        waited = self._empty_since is not None and now - self._empty_since > EMPTY_PLAN_WAIT_S
        # A search knows no more than the chief's, and two at once would draw the same.
        if self.process.backend.name != "offline":
            waited = waited or chief_had_nothing(self.process.store, self.process.tag)
        experiment_id = self.workspace.begin(without_hypothesis=waited or not has_chief)
        if experiment_id is None:
            self._empty_since = self._empty_since or now
            return None
        self._empty_since = None
        return self.process.snapshot().experiment(experiment_id)

    def _wait(self, snapshot: LabSnapshot) -> None:
        mine = [e for e in snapshot.experiments if e.agent == self.process.name]
        running = next((r for e in mine for r in e.runs if r.state is RunState.RUNNING), None)
        if running is not None:
            self.process.pane.live(bar(running))
            self._tell(snapshot, AgentState.WAITING, f"{running.experiment_id} trains")
        elif any(e.state in (ExperimentState.READY, ExperimentState.MEASURING) for e in mine):
            self._tell(snapshot, AgentState.WAITING, "for a device")
        else:
            self._tell(snapshot, AgentState.IDLE, "for a hypothesis")

    def _tell(self, snapshot: LabSnapshot, state: AgentState, doing: str) -> None:
        agent = snapshot.agent(self.process.name)
        if agent is None or agent.state is not state or agent.doing != doing:
            self.process.state(state, doing=doing)

    def _is_to_reflect(self, experiment: Experiment) -> bool:
        return (
            experiment.agent == self.process.name
            and experiment.state is ExperimentState.DECIDED
            and experiment.verdict is not Verdict.THOUGHT
            and not experiment.reflection
        )
