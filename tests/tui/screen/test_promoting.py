"""`P` and `R`: a person sees what it costs, then the evidence and the diff, and only then says yes."""

import dataclasses

import pytest

from supervisor.model.promotion import PromotionState
from tests.tui.screen import snapshots
from tests.tui.screen.driving import driving


async def test_a_promotion_begins_only_after_its_price_was_shown() -> None:
    async with driving(snapshots.mid()) as driver:
        await driver.press("P")
        await driver.shows("At least 6 training runs on fresh seeds")
        assert "main changes only when you say yes" in driver.text
        await driver.press("n")
        await driver.hides("At least 6")
        assert driver.port.requests == []
        await driver.press("P")
        await driver.shows("At least 6")
        await driver.press("y")
        await driver.asks("promote", ())
        await driver.shows("Promotion 3")
        await driver.shows("reading the lab")


async def test_what_is_under_the_cursor_is_promoted() -> None:
    async with driving(snapshots.mid()) as driver:
        await driver.press("j", "P")
        await driver.shows("At least 6")
        await driver.press("y")
        await driver.asks("promote", ("junior-1",))
        await driver.shows("Promotion 3")
        await driver.press("escape")
        await driver.hides("Promotion 3")
        await driver.press("1", "j", "j", "P")
        row = driver.app.screen_stack[0].query_one("Leaderboard").row_under_cursor()  # type: ignore[attr-defined]
        await driver.shows("At least 6")
        await driver.press("y")
        await driver.asks("promote", (row.experiment.id,))


async def test_the_evidence_and_the_diff_are_there_before_the_yes() -> None:
    async with driving(snapshots.promoting()) as driver:
        await driver.shows("promotion 3 waits for you")
        await driver.press("P")
        await driver.shows("The evidence says yes.")
        for text in ("+.2312", "+.2009 (+.1951 to +.2067)", "+9 −4", "new-import", "import [b]ctypes[/b]"):
            assert text in driver.text, text
        await driver.shows("+TOKENS_PER_STEP = 2048")
        assert driver.port.requests == []
        await driver.press("y")
        await driver.asks("land", 3)
        await driver.shows("on main as 1234567890")


async def test_leaving_answers_nothing_and_no_is_asked_twice() -> None:
    async with driving(snapshots.promoting()) as driver:
        await driver.press("P")
        await driver.shows("The evidence says yes.")
        await driver.press("escape")
        await driver.hides("The evidence says yes.")
        await driver.press("P")
        await driver.shows("The evidence says yes.")
        await driver.press("n")
        await driver.shows("End promotion 3?")
        await driver.press("n")
        assert driver.port.requests == []
        await driver.press("n")
        await driver.shows("End promotion 3?")
        await driver.press("y")
        await driver.asks("decline", 3)


@pytest.mark.parametrize(
    "state",
    [PromotionState.MEASURING, PromotionState.REFUSED, PromotionState.CONFLICT, PromotionState.DECLINED],
)
async def test_y_means_nothing_without_a_yes_of_the_evidence(state: PromotionState) -> None:
    lab = snapshots.promoting()
    async with driving(lab) as driver:
        await driver.press("P")
        await driver.shows("The evidence says yes.")
        driver.change(dataclasses.replace(snapshots.promoting(state), version=lab.version + 1))
        await driver.hides("The evidence says yes.")
        await driver.hides("land it")
        await driver.press("y", "escape")
        await driver.hides("Promotion 3")
        assert driver.port.requests == []


async def test_the_measuring_is_a_bar_with_an_estimate_and_can_be_ended() -> None:
    async with driving(snapshots.promoting(PromotionState.MEASURING), 100, 24) as driver:
        await driver.press("P")
        await driver.shows("of at least 4 runs, about")
        assert "━" in driver.text and "the measuring goes on" in driver.text
        await driver.press("n")
        await driver.shows("End promotion 3?")
        await driver.press("y")
        await driver.asks("decline", 3)


async def test_the_header_says_how_far_it_is() -> None:
    async with driving(snapshots.promoting(PromotionState.MEASURING)) as driver:
        await driver.shows("promotion 3 3/4 runs")


async def test_a_waiting_commit_says_how_it_lands() -> None:
    lab = snapshots.promoting(
        PromotionState.WAITING, branch="autoresearch/promoted/3", reason="train.py would be overwritten"
    )
    async with driving(lab) as driver:
        await driver.press("P")
        await driver.shows("git merge --ff-only autoresearch/promoted/3")
        assert "train.py would be overwritten" in driver.text
        await driver.press("y")
        await driver.asks("land", 3)


async def test_a_rollback_names_what_it_takes_back() -> None:
    lab = snapshots.promoting(PromotionState.LANDED, landed_commit="e" * 40)
    async with driving(lab, 160, 45) as driver:
        await driver.press("R")
        await driver.shows("Take promotion 2, halve the batch off main?")
        await driver.press("escape")
        await driver.hides("off main?")
        assert driver.port.requests == []
        await driver.press("R")
        await driver.shows("off main?")
        await driver.press("y")
        await driver.asks("roll_back")
        await driver.shows("promotion 2 is taken back")


async def test_nothing_kept_offers_no_promotion() -> None:
    async with driving(snapshots.launching()) as driver:
        await driver.press("P", "R")
        assert "promote" not in driver.footer and driver.port.requests == []
        assert "against main" not in driver.text
