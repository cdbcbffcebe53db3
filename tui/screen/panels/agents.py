"""The agents: who does what, since when, and how far its training is."""

from __future__ import annotations

from collections.abc import Sequence

from textual.reactive import reactive

from supervisor.model.snapshot import Agent, LabSnapshot
from tui.screen.panels.agent_lines import agent_lines, waits_for_person
from tui.screen.widgets.lines import Line, Tone, prose
from tui.screen.widgets.listing import GUTTER, Listing


class AgentsPanel(Listing):
    """One item per agent, of one to three lines."""

    snapshot: reactive[LabSnapshot | None] = reactive(None)
    now: reactive[float] = reactive(0.0)

    def on_mount(self) -> None:
        """Name the panel."""
        self.border_title = "Agents"

    def watch_snapshot(self) -> None:
        """Lay the agents out; their ideas are shown when there is room for all of them."""
        self.rebuild()

    def watch_now(self) -> None:
        """Ages grow."""
        self.refresh()

    def on_resize(self) -> None:
        """What fits depends on the height."""
        self.rebuild()
        super().on_resize()

    def rebuild(self) -> None:
        """Lay the agents out anew."""
        agents = self._agents
        heights = [len(self._lines(agent, roomy=True)) for agent in agents]
        self._roomy = sum(heights) <= self.size.height
        if not self._roomy:
            heights = [len(self._lines(agent, roomy=False)) for agent in agents]
        self.set_items([agent.name for agent in agents], heights)

    def next_waiting(self) -> bool:
        """Move the cursor to the next agent that waits for the person; False when there is none."""
        agents = self._agents
        start = (self.cursor_index or 0) + 1
        for agent in [*agents[start:], *agents[:start]]:
            if waits_for_person(agent):
                self.cursor = agent.name
                return True
        return False

    def item(self, index: int, width: int) -> Sequence[Line]:
        """An agent."""
        return self._lines(self._agents[index], self._roomy)

    def empty(self, width: int) -> Sequence[Line]:
        """Before the first launch."""
        if self.snapshot is None:
            return []
        return [
            *prose("Here the chief scientist and the junior engineers will be, each with its state.", width),
            (),
            (("autoresearch-tui launch", Tone.KEY), (" starts them.", Tone.PLAIN)),
        ]

    @property
    def _agents(self) -> Sequence[Agent]:
        return self.snapshot.agents if self.snapshot else ()

    def _lines(self, agent: Agent, roomy: bool) -> list[Line]:
        assert self.snapshot is not None
        return agent_lines(
            agent, self.snapshot, self.now, self.scrollable_content_region.width - GUTTER, roomy
        )
