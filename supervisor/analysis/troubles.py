"""What goes wrong in a lab, in a line each: for who watches it from a script. Pure."""

from __future__ import annotations

from collections.abc import Collection

from supervisor.model.snapshot import Agent, LabSnapshot
from supervisor.model.states import AgentState, Role, RunState, Verdict, Wanted

_UNABLE = frozenset({AgentState.FAILING, AgentState.CRASHED})


def troubles(snapshot: LabSnapshot) -> dict[str, str]:
    """What should be told at once, by whom or what it is about."""
    told = {agent.name: _line(agent.doing) for agent in snapshot.agents if agent.state in _UNABLE}
    told |= {
        agent.name: f"waits for a limit of its model: {_line(agent.doing)}"
        for agent in snapshot.agents
        if agent.state is AgentState.PARKED
    }
    told |= {
        agent.name: f"waits for you: {_line(agent.waiting_for)}"
        for agent in snapshot.agents
        if agent.waiting_for
    }
    baseline = snapshot.experiment(snapshot.baseline_id)
    for run in baseline.runs if baseline else ():
        if run.state is RunState.FINISHED and run.metric is None and run.ending:
            told[run.id] = f"{run.ending.value}: {_line(run.reason)}"
    if snapshot.trouble:
        told["lab"] = _line(snapshot.trouble)
    return told


def failure(snapshot: LabSnapshot) -> str:
    """Why a campaign came to nothing; "" when it did what was asked, or still may."""
    baseline, campaign = snapshot.experiment(snapshot.baseline_id), snapshot.campaign
    if campaign is None or baseline is None or baseline.verdict in (None, Verdict.BASELINE):
        return ""
    return campaign.reason or f"the code as it stands does not run: {baseline.reason}"


def nobody_has_worked(snapshot: LabSnapshot, troubled: Collection[str]) -> bool:
    """Whether every junior has had its trouble, and none has ever handed anything over."""
    produced = any(e.agent and (e.commit or e.verdict) for e in snapshot.experiments)
    juniors = _juniors(snapshot)
    return bool(juniors) and not produced and all(agent.name in troubled for agent in juniors)


def why_nobody_works(snapshot: LabSnapshot) -> str:
    """Why no junior can do a step now; "" when one can, or just tries again."""
    juniors = _juniors(snapshot)
    if not juniors or not all(agent.state in _UNABLE for agent in juniors):
        return ""
    lines = dict.fromkeys(_line(agent.doing) for agent in juniors)
    return f"no junior can work: {'; '.join(lines)}"


def _juniors(snapshot: LabSnapshot) -> list[Agent]:
    return [a for a in snapshot.agents if a.role is Role.JUNIOR and a.wanted is Wanted.RUNNING]


def _line(text: str) -> str:
    return " ".join(text.split())
