"""The chief scientist's loop: asked for a plan, it reads everything, changes nothing, and writes hypotheses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from roles.backend import BackendError, Canvas, Plan, PlanBrief
from roles.briefs.tasks import keep_text, plan_brief
from roles.loops.agent_process import AgentProcess, open_agent_process
from roles.loops.backoff import run_steps
from roles.loops.chief_checkout import ChiefCheckout
from roles.pane import stamp
from sessions.errors import SessionError
from supervisor.lab.paths import Lab
from supervisor.model.snapshot import Hypothesis, LabSnapshot
from supervisor.model.states import UNTESTED, AgentState, ExperimentState, HypothesisState
from supervisor.store import campaigns, hypotheses

NAMED = 5  # changed paths that an event names


def run_chief(lab: Lab, name: str) -> int:
    """Answer the plan's needs and the person until the campaign is over; returns the exit code."""
    process = open_agent_process(lab, name)
    return run_steps(process, lambda snapshot: _step(process, snapshot))


def _step(process: AgentProcess, snapshot: LabSnapshot) -> bool:
    request = campaigns.open_plan_request(process.store, process.tag)
    if request is None and not process.has_messages():
        agent = snapshot.agent(process.name)
        if agent is not None and agent.state is not AgentState.IDLE:
            process.state(AgentState.IDLE, doing="until the plan runs low")
        return False
    number, why = request or (None, "the person has something to say")
    added = plan(process, snapshot, why)
    if number is not None:
        campaigns.close_plan_request(process.store, number, len(added), time.time())
    return True


def plan(process: AgentProcess, snapshot: LabSnapshot, why: str) -> tuple[str, ...]:
    """One plan: think, then put what came of it into the queue; returns the new ids. Raises BackendError."""
    campaign = snapshot.campaign
    assert campaign is not None
    process.state(AgentState.PLANNING, doing=why)
    process.pane.heading(f"{stamp()} planning: {why}")
    commit = _champions_commit(snapshot)
    with _chief_checkout(process, commit) as worktree:
        canvas = _canvas(process, commit)
        brief = plan_brief(
            process.lab, process.store, snapshot, canvas, process.messages(), why=why, worktree=worktree
        )
        _keep_brief(process.lab.state_dir / "plans", brief)
        with process.step("plan", None) as step:
            answer = process.backend.plan(brief, process.pane)
            step.ended("done", answer.cost)
    state = HypothesisState.PROPOSED if campaign.approve else HypothesisState.OPEN
    proposed = _unplanned(process, _with_known_experiments(answer, snapshot))[: brief.wanted]
    added = hypotheses.add_hypotheses(
        process.store, process.tag, process.name, proposed, state, time.time(), first=False
    )
    for identifier, hypothesis in zip(added, proposed, strict=True):
        process.pane.heading(f"{identifier} {hypothesis.title}")
        process.pane.say(hypothesis.rationale)
    if answer.summary:
        process.pane.say(answer.summary)
    return added


@contextmanager
def _chief_checkout(process: AgentProcess, commit: str) -> Iterator[Path]:
    """The champion's code to read; what the chief changed there is undone and told. Raises BackendError."""
    checkout = ChiefCheckout.of(process.lab, process.repository, process.name)
    try:
        before = checkout.open(commit)
    except (SessionError, OSError) as error:
        raise BackendError(f"its checkout cannot be laid out: {error}") from None
    try:
        yield checkout.path
    finally:
        if changes := checkout.changes_since(before):
            _tell(process, "the chief tried to change", changes, "; undone")
            with suppress(SessionError, OSError):  # the next plan lays it out anew, and says so when it can't
                checkout.open(commit)
        if refs := checkout.moved_refs(before):
            _tell(process, "while the chief planned somebody moved", refs, "")


def _tell(process: AgentProcess, what: str, names: tuple[str, ...], after: str) -> None:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    text = f"{what} {', '.join(names[:NAMED])}{more}{after}"
    process.log_event(text)
    process.pane.heading(text)


def _unplanned(process: AgentProcess, proposed: tuple[Hypothesis, ...]) -> tuple[Hypothesis, ...]:
    """What the plan does not hold already, in the same words, on the same parent."""
    planned = {_words(h): h.id for h in process.snapshot().hypotheses if h.state in UNTESTED}
    new: list[Hypothesis] = []
    for hypothesis in proposed:
        words = _words(hypothesis)
        if words in planned:
            process.pane.say(f"{hypothesis.title}: in the plan already, {planned[words]}")
        else:
            planned[words] = "above"
            new.append(hypothesis)
    return tuple(new)


def _words(one: Hypothesis) -> tuple[str, ...]:
    texts = (one.title, one.change, one.edit, one.parent_id or "")
    return tuple(" ".join(text.casefold().split()) for text in texts)


def _with_known_experiments(answer: Plan, snapshot: LabSnapshot) -> tuple[Hypothesis, ...]:
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


def _keep_brief(folder: Path, brief: PlanBrief) -> None:
    numbers = (int(path.stem) for path in folder.glob("*.md") if path.stem.isdigit())
    keep_text(folder / f"{max(numbers, default=0) + 1}.md", brief.text)


def _champions_commit(snapshot: LabSnapshot) -> str:
    champion = snapshot.experiment(snapshot.champion_id)
    assert snapshot.campaign is not None
    return champion.commit if champion is not None and champion.commit else snapshot.campaign.base_commit


def _canvas(process: AgentProcess, commit: str) -> tuple[Canvas, ...]:
    paths = process.lab.config.lab.canvas(process.repository.list_files(commit))
    return tuple(Canvas(*file) for file in process.repository.read_files(commit, paths).items())
