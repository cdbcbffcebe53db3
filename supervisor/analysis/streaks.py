"""How long somebody has gone without a keep, and what follows from it. Pure functions of a snapshot."""

from __future__ import annotations

from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import Agent, LabSnapshot
from supervisor.model.states import Role, Verdict, Wanted

REVIEW_AFTER = 3  # misses in a row: a written review comes before the next edit
ANOTHER_PARENT_AFTER = 5  # on one incumbent: something else is built on
INVERT_AFTER = 8  # the chief is asked to invert an assumption; again after as many more
_NEUTRAL = frozenset({Verdict.BASELINE, Verdict.THOUGHT})  # neither a miss nor progress


def misses(snapshot: LabSnapshot, agent: str) -> tuple[Experiment, ...]:
    """The agent's verdicts since its last keep, oldest first: discards, crashes, time-outs, rejections."""
    streak: list[Experiment] = []
    own = (e for e in snapshot.experiments if e.agent == agent and e.is_decided)
    for experiment in sorted(own, key=lambda e: (e.decided_at or 0.0, e.id), reverse=True):
        if experiment.verdict is Verdict.KEEP:
            break
        if experiment.verdict not in _NEUTRAL:
            streak.append(experiment)
    return tuple(reversed(streak))


def wants_review(snapshot: LabSnapshot, agent: str) -> tuple[Experiment, ...]:
    """The misses that the agent is to review before its next edit: after every third; empty: none is due."""
    streak = misses(snapshot, agent)
    return streak[-REVIEW_AFTER:] if streak and len(streak) % REVIEW_AFTER == 0 else ()


def wants_another_parent(snapshot: LabSnapshot, agent: Agent) -> bool:
    """Whether so many misses in a row were all built on the incumbent that the agent still has."""
    last = misses(snapshot, agent.name)[-ANOTHER_PARENT_AFTER:]
    return len(last) == ANOTHER_PARENT_AFTER and all(e.parent_id == agent.incumbent_id for e in last)


def stuck_juniors(snapshot: LabSnapshot) -> tuple[tuple[Agent, int], ...]:
    """Juniors whose misses reached the next eight, with their number, and whom no later plan has helped yet."""
    chiefs = {agent.name for agent in snapshot.agents if agent.role is Role.CHIEF}
    planned_at = max((h.created_at for h in snapshot.hypotheses if h.author in chiefs), default=0.0)
    stuck = []
    for agent in snapshot.agents:
        if agent.role is not Role.JUNIOR or agent.wanted is not Wanted.RUNNING:
            continue
        streak = misses(snapshot, agent.name)
        last_step = len(streak) // INVERT_AFTER * INVERT_AFTER
        if last_step and (streak[last_step - 1].decided_at or 0.0) > planned_at:
            stuck.append((agent, len(streak)))
    return tuple(stuck)
