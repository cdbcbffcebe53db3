"""What is under the person's fingers, and so which commands mean something; pure."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import Agent, Hypothesis, LabSnapshot
from supervisor.model.states import AgentState, HypothesisState, Role, Wanted
from supervisor.promotion.candidates import promoted_ids
from tui.screen.actions.keys import COMMANDS, KeyCommand, Needs
from tui.screen.panels.agent_lines import waits_for_person


@dataclass(frozen=True, slots=True)
class Context:
    """Where the focus is and what is selected there."""

    snapshot: LabSnapshot | None
    # The focus is on it, in the list or in its pane.
    agent: Agent | None = None
    # What `d` and `l` speak of.
    experiment: Experiment | None = None
    # The focus is on it, in a table.
    row: Experiment | None = None
    # The focus is on it.
    hypothesis: Hypothesis | None = None
    # What `y` copies.
    copyable: str = ""
    listing: bool = False
    sortable: bool = False
    filterable: bool = False
    way_back: bool = False

    def expect_agent(self) -> Agent:
        """The agent, for a command that needs one."""
        assert self.agent is not None
        return self.agent


def offered_commands(context: Context) -> tuple[KeyCommand, ...]:
    """The commands that work here, in the table's order."""
    have = what_is_there(context)
    return tuple(command for command in COMMANDS if command.needs in have)


def what_is_there(context: Context) -> frozenset[Needs]:
    """The needs that are met."""
    snapshot = context.snapshot
    agents = snapshot.agents if snapshot else ()
    met = {
        Needs.NOTHING: True,
        Needs.CAMPAIGN: snapshot is not None and snapshot.campaign is not None,
        Needs.JUNIORS: any(agent.role is Role.JUNIOR for agent in agents),
        Needs.LISTING: context.listing,
        Needs.EXPERIMENT: context.experiment is not None,
        Needs.EXPERIMENT_ROW: context.row is not None,
        Needs.PROPOSAL: context.hypothesis is not None
        and context.hypothesis.state is HypothesisState.PROPOSED,
        Needs.SORTABLE: context.sortable,
        Needs.FILTERABLE: context.filterable,
        Needs.COPYABLE: bool(context.copyable),
        Needs.WAITING: any(waits_for_person(agent) for agent in agents),
        Needs.WAY_BACK: context.way_back,
        Needs.KEPT: snapshot is not None and (snapshot.kept > 0 or bool(snapshot.promotions)),
        Needs.PROMOTED: snapshot is not None and bool(promoted_ids(snapshot)),
    }
    return frozenset(need for need, is_met in met.items() if is_met) | _agent_needs(context.agent)


def _agent_needs(agent: Agent | None) -> frozenset[Needs]:
    if agent is None:
        return frozenset()
    needs = {Needs.AGENT}
    if agent.wanted is Wanted.RUNNING and agent.state is not AgentState.CRASHED:
        needs.add(Needs.AGENT_GOING)
    if agent.wanted is not Wanted.RUNNING:
        needs.add(Needs.AGENT_PAUSED)
    if agent.wanted is not Wanted.STOPPED:
        needs.add(Needs.AGENT_NOT_STOPPED)
    return frozenset(needs)
