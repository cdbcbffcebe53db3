"""The chief scientist's loop: asked for a plan, it reads everything, changes nothing, and writes hypotheses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from roles.agent import STEP_S, Desk, open_desk
from roles.backend import BackendError, Canvas, Plan, PlanBrief, ProposedHypothesis
from roles.brief import keep_text, plan_brief
from roles.pane import stamp
from roles.patience import Patience
from roles.reading_room import ReadingRoom
from sessions.errors import SessionError
from supervisor.lab import Lab
from supervisor.snapshot import Hypothesis, LabSnapshot
from supervisor.states import AgentState, ExperimentState, HypothesisState
from supervisor.store import campaigns, hypotheses
from supervisor.store.hypotheses import NewHypothesis

NAMED = 5  # changed paths that an event names
PLANNED = (HypothesisState.PROPOSED, HypothesisState.OPEN, HypothesisState.CLAIMED)


def run_chief(lab: Lab, name: str) -> int:
    """Answer the plan's needs and the person until the campaign is over; returns the exit code."""
    desk = open_desk(lab, name)
    desk.pane.heading(f"{name} ({desk.backend.name}) {stamp()}")
    patience = Patience(desk)
    while True:
        snapshot = desk.snapshot()
        if not desk.may_go_on(snapshot):
            return 0
        desk.watch_supervisor(snapshot)
        if patience.waits(snapshot):
            time.sleep(STEP_S)
            continue
        request = campaigns.open_plan_request(desk.store, desk.tag)
        if request is None and not desk.has_messages():
            _rest(desk, snapshot)
            continue
        number, why = request or (None, "the person has something to say")
        try:
            added = plan(desk, snapshot, why)
        except BackendError as error:
            patience.after(error)
            continue
        patience.succeeded()
        if number is not None:
            campaigns.close_plan_request(desk.store, number, len(added), time.time())


def plan(desk: Desk, snapshot: LabSnapshot, why: str) -> tuple[str, ...]:
    """One plan: think, then put what came of it into the queue; returns the new ids. Raises BackendError."""
    campaign = snapshot.campaign
    assert campaign is not None
    desk.state(AgentState.PLANNING, doing=why)
    desk.pane.heading(f"{stamp()} planning: {why}")
    commit = _champions_commit(snapshot)
    with _reading_room(desk, commit) as worktree:
        canvas = _canvas(desk, commit)
        brief = plan_brief(
            desk.lab, desk.store, snapshot, canvas, desk.messages(), why=why, worktree=worktree
        )
        _keep(desk.lab.state_dir / "plans", brief)
        with desk.step("plan", None) as step:
            answer = desk.backend.plan(brief, desk.pane)
            step.ended("done", answer.cost)
    state = HypothesisState.PROPOSED if campaign.approve else HypothesisState.OPEN
    proposed = _unplanned(desk, _grounded(answer, snapshot))[: brief.wanted]
    new = tuple(_new(hypothesis) for hypothesis in proposed)
    added = hypotheses.add_hypotheses(desk.store, desk.tag, desk.name, new, state, time.time(), first=False)
    for identifier, hypothesis in zip(added, proposed, strict=True):
        desk.pane.heading(f"{identifier} {hypothesis.title}")
        desk.pane.say(hypothesis.rationale)
    if answer.summary:
        desk.pane.say(answer.summary)
    return added


@contextmanager
def _reading_room(desk: Desk, commit: str) -> Iterator[Path]:
    """The champion's code to read; what the chief changed there is undone and told. Raises BackendError."""
    room = ReadingRoom.of(desk.lab, desk.repository, desk.name)
    try:
        seal = room.open(commit)
    except (SessionError, OSError) as error:
        raise BackendError(f"its checkout cannot be laid out: {error}") from None
    try:
        yield room.path
    finally:
        if changed := room.broken_since(seal):
            _tell(desk, "the chief tried to change", changed, "; undone")
            with suppress(SessionError, OSError):  # the next plan lays it out anew, and says so when it can't
                room.open(commit)
        if moved := room.moved_refs(seal):
            _tell(desk, "while the chief planned somebody moved", moved, "")


def _tell(desk: Desk, what: str, names: tuple[str, ...], after: str) -> None:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    text = f"{what} {', '.join(names[:NAMED])}{more}{after}"
    campaigns.log_event(desk.store, desk.tag, time.time(), desk.name, text)
    desk.pane.heading(text)


def _unplanned(desk: Desk, proposed: tuple[ProposedHypothesis, ...]) -> tuple[ProposedHypothesis, ...]:
    """What the plan does not hold already, in the same words, on the same parent."""
    planned = {_words(h): h.id for h in desk.snapshot().hypotheses if h.state in PLANNED}
    new: list[ProposedHypothesis] = []
    for hypothesis in proposed:
        words = _words(hypothesis)
        if words in planned:
            desk.pane.say(f"{hypothesis.title}: in the plan already, {planned[words]}")
        else:
            planned[words] = "above"
            new.append(hypothesis)
    return tuple(new)


def _words(one: Hypothesis | ProposedHypothesis) -> tuple[str, ...]:
    texts = (one.title, one.change, one.edit, one.parent_id or "")
    return tuple(" ".join(text.casefold().split()) for text in texts)


def _grounded(answer: Plan, snapshot: LabSnapshot) -> tuple[ProposedHypothesis, ...]:
    """Only experiments that are there: a parent must have a score to be held against."""

    def has_score(identifier: str | None) -> bool:
        one = snapshot.experiment(identifier)
        return (
            one is not None
            and one.state is ExperimentState.DECIDED
            and bool(one.commit)
            and one.metric is not None
        )

    return tuple(
        replace(
            hypothesis,
            parent_id=hypothesis.parent_id if has_score(hypothesis.parent_id) else None,
            builds_on=tuple(i for i in hypothesis.builds_on if snapshot.experiment(i) is not None),
        )
        for hypothesis in answer.hypotheses
    )


def _new(hypothesis: ProposedHypothesis) -> NewHypothesis:
    return NewHypothesis(
        title=hypothesis.title,
        rationale=hypothesis.rationale,
        change=hypothesis.change,
        expected_gain=hypothesis.expected_gain,
        category=hypothesis.category,
        edit=hypothesis.edit,
        parent_id=hypothesis.parent_id,
        risk=hypothesis.risk,
        builds_on=hypothesis.builds_on,
        falsified_by=hypothesis.falsified_by,
        independent=hypothesis.independent,
    )


def _keep(folder: Path, brief: PlanBrief) -> None:
    numbers = (int(path.stem) for path in folder.glob("*.md") if path.stem.isdigit())
    keep_text(folder / f"{max(numbers, default=0) + 1}.md", brief.text)


def _champions_commit(snapshot: LabSnapshot) -> str:
    champion = snapshot.experiment(snapshot.champion_id)
    assert snapshot.campaign is not None
    return champion.commit if champion is not None and champion.commit else snapshot.campaign.base_commit


def _canvas(desk: Desk, commit: str) -> tuple[Canvas, ...]:
    return tuple(
        Canvas(path, desk.repository.read_file(commit, path))
        for path in desk.lab.config.lab.canvas(desk.repository.list_files(commit))
    )


def _rest(desk: Desk, snapshot: LabSnapshot) -> None:
    agent = snapshot.agent(desk.name)
    if agent is not None and agent.state is not AgentState.IDLE:
        desk.state(AgentState.IDLE, doing="until the plan runs low")
    time.sleep(STEP_S)
