"""The layout follows the width, and every line fits."""

import pytest
from rich.cells import cell_len
from textual.events import Resize
from textual.geometry import Size

from tests.tui.screen import snapshots
from tests.tui.screen.driving import Driver, driving
from tui.screen.panels.tabs import Tab, Tabs

SIZES = [(160, 45), (120, 30), (100, 24), (80, 24), (60, 24), (59, 20), (40, 12)]


@pytest.mark.parametrize("name", snapshots.ALL)
async def test_every_lab_fits_every_size(name: str) -> None:
    async with driving(snapshots.ALL[name](), *SIZES[0]) as driver:
        for columns, rows in SIZES:
            await driver.pilot.resize_terminal(columns, rows)
            await driver.until(lambda: fits(driver, columns, rows))  # noqa: B023


def fits(driver: Driver, columns: int, rows: int) -> bool:
    """Every line is as wide as the terminal, and what must be there is."""
    lines = driver.lines
    sized = len(lines) == rows and {cell_len(line) for line in lines} == {columns}
    return sized and "? help   q quit" in driver.footer and "Agents" in driver.text


async def test_side_by_side_from_100_columns() -> None:
    async with driving(snapshots.mid(), 100, 30) as driver:
        agents, tabs = (
            driver.app.screen.query_one("#agents").region,
            driver.app.screen.query_one("#tabs").region,
        )
        assert agents.y == tabs.y
        assert agents.right <= tabs.x


async def test_stacked_below_100_columns() -> None:
    async with driving(snapshots.mid(), 99, 30) as driver:
        agents, tabs = (
            driver.app.screen.query_one("#agents").region,
            driver.app.screen.query_one("#tabs").region,
        )
        assert agents.bottom <= tabs.y
        assert tabs.width == 99


async def test_only_the_list_below_60_columns_and_a_tab_on_its_key() -> None:
    async with driving(snapshots.mid(), 59, 24) as driver:
        assert "Leaderboard" not in driver.text
        await driver.press("1")
        await driver.shows("1 Leaderboard")
        assert "junior-1  training" not in driver.text
        await driver.press("escape")
        await driver.shows("Agents")
        await driver.hides("Leaderboard")


async def test_a_high_screen_shows_the_selected_pane_and_the_plot() -> None:
    async with driving(snapshots.mid(), 160, 45) as driver:
        await driver.shows("expectation: more steps")
        assert "best kept" in driver.text
        await driver.press("5")
        await driver.until(lambda: driver.text.count("best kept") == 1)


async def test_the_layout_follows_a_resize() -> None:
    async with driving(snapshots.mid(), 160, 45) as driver:
        await driver.pilot.resize_terminal(59, 24)
        await driver.hides("Leaderboard")
        await driver.pilot.resize_terminal(100, 30)
        await driver.shows("Leaderboard")


async def test_a_lost_resize_is_made_good() -> None:
    async with driving(snapshots.mid(), 160, 45) as driver:
        stale = Size(100, 24)
        driver.app.screen.post_message(Resize(stale, stale))
        # The screen's own size: drawing its text may take longer than the second until it is made good.
        await driver.until(lambda: driver.app.screen.outer_size == stale)
        await driver.until(lambda: len(driver.lines[0]) == 160)


@pytest.mark.parametrize("name", snapshots.ALL)
async def test_every_tab_shows_something_in_80_columns(name: str) -> None:
    async with driving(snapshots.ALL[name](), 80, 24) as driver:
        view = driver.app.screen.query_one("#tabs").region
        for tab in Tab:
            await driver.press(tab.key)
            assert driver.app.screen.query_one(Tabs).tab is tab
            inner = lambda: [line[1:-1].strip() for line in driver.lines[view.y + 1 : view.bottom - 1]]  # noqa: E731
            await driver.until(lambda: any(inner()))  # noqa: B023
