"""The chief scientist's loop: asked for a plan, it reads everything, changes nothing, and writes hypotheses."""

from __future__ import annotations

import time

from roles.agent import STEP_S, Desk, open_desk
from roles.backend import BackendError, Canvas
from roles.brief import plan_brief
from roles.pane import stamp
from supervisor.lab import Lab
from supervisor.snapshot import LabSnapshot
from supervisor.states import AgentState, HypothesisState
from supervisor.store import agents, campaigns, hypotheses
from supervisor.store.hypotheses import NewHypothesis

BACKEND_RETRY_S = 30.0


def run_chief(lab: Lab, name: str) -> int:
    """Answer the plan's needs and the person until the campaign is over; returns the exit code."""
    desk = open_desk(lab, name)
    desk.pane.heading(f"{name} ({desk.backend.name}) {stamp()}")
    while True:
        snapshot = desk.snapshot()
        if not desk.may_go_on(snapshot):
            return 0
        desk.watch_supervisor(snapshot)
        request = campaigns.open_plan_request(desk.store, desk.tag)
        if request is None and not agents.has_messages(desk.store, desk.tag, name):
            _rest(desk, snapshot)
            continue
        number, why = request or (None, "the person has something to say")
        try:
            added = plan(desk, snapshot, why)
        except BackendError as error:
            desk.pane.heading(f"no plan: {error}")
            desk.state(AgentState.IDLE, doing=f"tries again soon: {error}")
            time.sleep(BACKEND_RETRY_S)
            continue
        if number is not None:
            campaigns.close_plan_request(desk.store, number, len(added), time.time())


def plan(desk: Desk, snapshot: LabSnapshot, why: str) -> tuple[str, ...]:
    """One plan: think, then put what came of it into the queue; returns the new ids. Raises BackendError."""
    campaign = snapshot.campaign
    assert campaign is not None
    desk.state(AgentState.PLANNING, doing=why)
    desk.pane.heading(f"{stamp()} planning: {why}")
    brief = plan_brief(desk.lab, desk.store, snapshot, _canvas(desk, snapshot), desk.messages())
    with desk.step("plan", None) as step:
        answer = desk.backend.plan(brief, desk.pane)
        step.ended("done", answer.cost)
    added = hypotheses.add_hypotheses(
        desk.store,
        desk.tag,
        desk.name,
        tuple(
            NewHypothesis(
                h.title,
                h.rationale,
                h.change,
                h.expected_gain,
                h.category,
                h.edit,
                h.parent_id,
                h.risk,
                h.builds_on,
                h.falsified_by,
                h.independent,
            )
            for h in answer.hypotheses
        ),
        HypothesisState.PROPOSED if campaign.approve else HypothesisState.OPEN,
        time.time(),
        first=False,
    )
    for identifier, hypothesis in zip(added, answer.hypotheses, strict=True):
        desk.pane.heading(f"{identifier} {hypothesis.title}")
        desk.pane.say(hypothesis.rationale)
    if answer.summary:
        desk.pane.say(answer.summary)
    return added


def _canvas(desk: Desk, snapshot: LabSnapshot) -> tuple[Canvas, ...]:
    champion = snapshot.experiment(snapshot.champion_id)
    assert snapshot.campaign is not None
    commit = champion.commit if champion is not None and champion.commit else snapshot.campaign.base_commit
    return tuple(
        Canvas(path, desk.repository.read_file(commit, path))
        for path in desk.lab.config.lab.canvas(desk.repository.list_files(commit))
    )


def _rest(desk: Desk, snapshot: LabSnapshot) -> None:
    agent = snapshot.agent(desk.name)
    if agent is not None and agent.state is not AgentState.IDLE:
        desk.state(AgentState.IDLE, doing="until the plan runs low")
    time.sleep(STEP_S)
