"""Which chain of keeps each junior stands on. Pure functions of a snapshot."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import Agent, LabSnapshot
from supervisor.model.states import Role, Verdict

INCUMBENT_VERDICTS = frozenset({Verdict.BASELINE, Verdict.KEEP})  # of what an experiment may build on


@dataclass(frozen=True, slots=True)
class Branch:
    """A junior's branch as the lab knows it."""

    name: str
    agent: str
    lineage: tuple[Experiment, ...]  # from the run's base to the incumbent
    gain_over_base: float | None  # in the metric's unit, positive is better
    is_champion: bool  # its incumbent is the champion

    @property
    def keeps(self) -> int:
        """How many keeps the chain has."""
        return sum(experiment.verdict is Verdict.KEEP for experiment in self.lineage)


def branches_of(snapshot: LabSnapshot) -> tuple[Branch, ...]:
    """One branch per junior, in the agents' order."""
    return tuple(_branch_of(snapshot, agent) for agent in snapshot.agents if agent.role is Role.JUNIOR)


def lineage_of(snapshot: LabSnapshot, experiment_id: str | None) -> tuple[Experiment, ...]:
    """The chain of parents that ends in the experiment, oldest first; empty for None."""
    chain: list[Experiment] = []
    experiment = snapshot.experiment(experiment_id)
    while experiment is not None and experiment not in chain:
        chain.append(experiment)
        experiment = snapshot.experiment(experiment.parent_id)
    return tuple(reversed(chain))


def _branch_of(snapshot: LabSnapshot, agent: Agent) -> Branch:
    chain = lineage_of(snapshot, agent.incumbent_id)
    return Branch(
        name=agent.branch,
        agent=agent.name,
        lineage=chain,
        gain_over_base=_gain(snapshot, chain),
        is_champion=agent.incumbent_id is not None and agent.incumbent_id == snapshot.champion_id,
    )


def _gain(snapshot: LabSnapshot, chain: tuple[Experiment, ...]) -> float | None:
    if snapshot.campaign is None or not chain:
        return None
    first, last = chain[0].metric, chain[-1].metric
    if first is None or last is None or chain[0].setting_id != chain[-1].setting_id:
        return None
    return snapshot.campaign.direction.sign * (last - first)
