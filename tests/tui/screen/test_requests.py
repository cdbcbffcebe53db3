"""What keys ask of the lab, and what the person is told."""

import dataclasses

import pytest

from supervisor.model.states import AgentState, Role, Wanted
from tests.tui.screen import snapshots
from tests.tui.screen.driving import driving


async def test_attach_goes_to_the_agent_under_the_cursor() -> None:
    async with driving(snapshots.mid()) as driver:
        await driver.press("j", "enter")
        await driver.asks("attach", "junior-1")


async def test_pause_and_resume_share_a_key() -> None:
    async with driving(snapshots.mid()) as driver:
        await driver.press("space")
        await driver.asks("pause", ("chief",))
        await driver.shows("will pause after the current step")
        lab = snapshots.mid()
        paused = dataclasses.replace(lab.agents[0], wanted=Wanted.PAUSED, state=AgentState.PAUSED)
        driver.change(dataclasses.replace(lab, agents=(paused, *lab.agents[1:])))
        await driver.until(lambda: "resume" in driver.footer)
        await driver.press("space")
        await driver.asks("resume", ("chief",))


async def test_nothing_is_shown_before_the_lab_says_so() -> None:
    async with driving(snapshots.mid()) as driver:
        await driver.press("space")
        await driver.asks("pause", ("chief",))
        assert "‖" not in driver.text
        assert "pause" in driver.footer and "resume" not in driver.footer


@pytest.mark.parametrize(
    ("key", "request_", "stays"),
    [
        ("x", ("stop", ("chief",)), "stay"),
        ("r", ("restart", ("chief",)), "takes over"),
        ("n", ("add_agent", Role.JUNIOR), "branch"),
    ],
)
async def test_what_changes_a_lot_asks_first(key: str, request_: tuple[object, ...], stays: str) -> None:
    async with driving(snapshots.mid(), 80, 24) as driver:
        await driver.press(key)
        await driver.shows("y yes")
        assert stays in driver.text
        await driver.press("n")
        await driver.hides("y yes")
        assert driver.port.requests == []
        await driver.press(key)
        await driver.shows("y yes")
        await driver.press("enter")
        await driver.hides("y yes")
        assert driver.port.requests == []
        await driver.press(key)
        await driver.shows("y yes")
        await driver.press("y")
        await driver.asks(*request_)


async def test_a_message_goes_to_one_agent_or_to_all_juniors() -> None:
    async with driving(snapshots.mid()) as driver:
        await driver.press("m")
        await driver.shows("Message to chief")
        await driver.press(*"try q", "enter")
        await driver.asks("send", ("chief",), "try q")
        await driver.press("M")
        await driver.shows("Message to junior-1, junior-2")
        await driver.press(*"stop", "enter")
        await driver.asks("send", ("junior-1", "junior-2"), "stop")


async def test_leaving_a_question_asks_for_nothing() -> None:
    async with driving(snapshots.mid()) as driver:
        await driver.press("h")
        await driver.shows("A hypothesis of yours")
        await driver.press(*"deeper", "escape")
        await driver.hides("A hypothesis of yours")
        await driver.press("h")
        await driver.shows("A hypothesis of yours")
        await driver.press("enter")
        await driver.hides("A hypothesis of yours")
        assert driver.port.requests == []


async def test_a_proposal_is_approved_from_the_plan() -> None:
    async with driving(snapshots.mid(), 80, 24) as driver:
        await driver.press("3")
        await driver.until(lambda: "a approve" in driver.footer)
        await driver.press("a")
        await driver.asks("approve", "h-41")
        await driver.press("j")
        await driver.until(lambda: "approve" not in driver.footer)


async def test_a_refusal_is_told_as_it_is() -> None:
    async with driving(snapshots.mid(), refusal="the lab [b]is[/b] stopped: launch it first") as driver:
        await driver.press("space")
        await driver.shows("[b]is[/b] stopped")


async def test_copy_takes_the_commit_under_the_cursor() -> None:
    async with driving(snapshots.mid()) as driver:
        await driver.press("1", "y")
        row = driver.app.screen.query_one("Leaderboard").row_under_cursor()  # type: ignore[attr-defined]
        await driver.until(lambda: driver.app.clipboard == row.experiment.commit)


async def test_quitting_asks_nothing_of_the_lab_and_says_that_it_goes_on() -> None:
    async with driving(snapshots.mid()) as driver:
        await driver.press("ctrl+q", "ctrl+c")
        await driver.shows("q closes this screen")
        await driver.press("q")
        await driver.until(lambda: driver.app._exit)
        assert driver.port.requests == []
        assert "The lab goes on" in str(driver.app._exit_renderables)
