"""An agent that a limit keeps waiting says so, and for how long."""

import dataclasses

from supervisor.model.states import AgentState
from tests.tui.screen import snapshots
from tests.tui.screen.driving import driving
from tui.screen.panels.agent_lines import badge


async def test_a_parked_agent_counts_down() -> None:
    lab = snapshots.mid()
    parked = dataclasses.replace(
        lab.agents[1], state=AgentState.PARKED, parked_until=snapshots.NOW + 252, doing="429: [b]too many[/b]"
    )
    lab = dataclasses.replace(lab, agents=(lab.agents[0], parked, lab.agents[2]))
    assert badge(parked, lab, snapshots.NOW).words == "parked 4:12 · 429: [b]too many[/b]"
    assert badge(parked, lab, snapshots.NOW + 999).words.startswith("parked 0:00")
    async with driving(lab) as driver:
        await driver.shows("◷ junior-1")
        await driver.shows("parked 4:12")


def test_every_state_has_a_badge() -> None:
    lab = snapshots.mid()
    for state in AgentState:
        assert badge(dataclasses.replace(lab.agents[1], state=state), lab, snapshots.NOW).glyph
