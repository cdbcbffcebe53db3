"""The screen follows the lab: selection stays, hostile text is only text, views read what they show."""

import dataclasses

from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import Verdict
from tests.tui.screen import snapshots
from tests.tui.screen.driving import driving
from tests.tui.screen.memory_client import MemoryClient
from tui.screen.app import LabApp
from tui.screen.lab import LabScreen
from tui.screen.panels.branches import branch_rows
from tui.screen.panels.leaderboard import Leaderboard
from tui.screen.panels.log import LogView
from tui.screen.panels.tabs import Tab
from tui.screen.widgets.listing import Listing

HOSTILE = "\x1b[31mred\x1b[0m [b]bold[/b] [@click=app.quit]x[/] \x1b]0;title\x07\u202egnirts\x00 \r\nend"


def renamed(lab: LabSnapshot, text: str) -> LabSnapshot:
    """The lab with this text wherever a model, a person or a box may have written."""
    return dataclasses.replace(
        lab,
        agents=tuple(dataclasses.replace(one, doing=text, waiting_for=text) for one in lab.agents),
        experiments=tuple(
            dataclasses.replace(one, title=text, reason=text, expectation=text, reflection=text)
            for one in lab.experiments
        ),
        hypotheses=tuple(
            dataclasses.replace(one, title=text, rationale=text, change=text, category=text)
            for one in lab.hypotheses
        ),
        notes=tuple(dataclasses.replace(one, title=text) for one in lab.notes),
        devices=tuple(dataclasses.replace(one, problem=text) for one in lab.devices),
    )


async def test_hostile_text_is_only_text() -> None:
    async with driving(renamed(snapshots.mid(), HOSTILE), 160, 45, log=HOSTILE, pane=HOSTILE) as driver:
        for tab in Tab:
            await driver.press(tab.key)
            region = driver.app.screen.query_one("#tabs").region
            inner = lambda: "\n".join(line[region.x :] for line in driver.lines[: region.bottom])  # noqa: E731, B023
            if tab is not Tab.PROGRESS:
                await driver.until(lambda: "[b]bold[/b]" in inner() or "end" in inner())  # noqa: B023
            assert not set("\x1b\x00\x07\u202e") & set(driver.text)


async def test_the_cursor_stays_on_its_row_when_rows_move() -> None:
    async with driving(snapshots.mid()) as driver:
        await driver.press("1", "j", "j", "j")
        board = driver.app.screen.query_one(Leaderboard)
        before, index = board.cursor, board.cursor_index
        lab = snapshots.mid()
        best = dataclasses.replace(
            snapshots.baseline(),
            id="e9999",
            title="a new best",
            verdict=Verdict.KEEP,
            parent_id="e0000",
            runs=(snapshots.run("e9999", 1, 1.2),),
        )
        driver.change(dataclasses.replace(lab, experiments=(*lab.experiments, best)))
        await driver.shows("a new best")
        assert board.cursor == before
        assert board.cursor_index == (index or 0) + 1


async def test_the_cursor_stays_near_when_its_row_goes() -> None:
    async with driving(snapshots.mid()) as driver:
        await driver.press("1", "G")
        board = driver.app.screen.query_one(Leaderboard)
        driver.change(snapshots.launching())
        await driver.until(lambda: board.cursor == "e0000")
        driver.change(snapshots.empty())
        await driver.until(lambda: board.cursor is None)
        await driver.shows("Every experiment will be here")


async def test_first_and_last_row() -> None:
    async with driving(snapshots.many(), 80, 24) as driver:
        await driver.press("1", "G")
        board = driver.app.screen.query_one(Leaderboard)
        assert board.cursor_index == len(board._keys) - 1
        assert board.scroll_offset.y == board.max_scroll_y > 2000
        await driver.press("g", "g")
        assert board.cursor_index == 0
        await driver.press("pagedown")
        assert (board.cursor_index or 0) > 3


async def test_the_filter_shows_matching_rows_and_escape_all() -> None:
    async with driving(snapshots.mid()) as driver:
        board = driver.app.screen.query_one(Leaderboard)
        everything = len(board._keys)
        await driver.press("1", "slash", *"muon", "enter")
        assert 0 < len(board._keys) < everything
        await driver.press("slash", *"xyz")
        await driver.shows("No row contains “xyz”")
        await driver.press("escape")
        await driver.until(lambda: len(board._keys) == everything)


async def test_sorting_goes_round() -> None:
    async with driving(snapshots.mid()) as driver:
        await driver.press("1")
        board = driver.app.screen.query_one(Leaderboard)
        by_rank = list(board._keys)
        await driver.press("s")
        await driver.shows("newest first")
        assert board._keys[0] == "e0040"
        await driver.press("s", "s")
        assert list(board._keys) == by_rank


async def test_enter_shows_the_experiment_and_escape_comes_back() -> None:
    async with driving(snapshots.mid(), 80, 24) as driver:
        await driver.press("1", "j")
        selected = driver.app.screen.query_one(Leaderboard).cursor
        await driver.press("enter")
        await driver.shows(f"{selected}  ")
        await driver.press("G")
        await driver.shows("# [bold]half[/bold]")
        await driver.press("escape")
        await driver.until(lambda: isinstance(driver.app.focused, Leaderboard))
        assert driver.app.screen.query_one(Leaderboard).cursor == selected


async def test_the_diff_of_an_agent_is_that_of_its_own_experiment() -> None:
    async with driving(snapshots.mid()) as driver:
        await driver.press("j", "d")
        await driver.shows("e0039  training  halve the batch")


async def test_the_log_grows_and_stays_at_its_end() -> None:
    async with driving(snapshots.mid(), 80, 24, log="line\n" * 50 + "step 400\n") as driver:
        await driver.press("j", "l")
        await driver.shows("step 400")
        driver.port.log = "line\n" * 80 + "step 440\n"
        driver.app.now += 1
        await driver.shows("step 440")
        await driver.press("g", "g")
        driver.port.log = "line\n" * 90 + "step 450\n"
        driver.app.now += 1
        log = driver.app.screen.query_one(LogView)
        await driver.until(lambda: log.virtual_size.height == 94)
        assert log.scroll_offset.y == 0


async def test_the_pane_is_live_and_follows_the_selected_agent() -> None:
    async with driving(snapshots.mid(), 160, 45) as driver:
        await driver.shows("expectation: more steps")
        driver.port.pane = "\x1b[1mthinking\x1b[0m hard\n"
        await driver.shows("thinking hard")


async def test_the_note_under_the_cursor_is_read() -> None:
    async with driving(snapshots.mid(), 80, 24) as driver:
        await driver.press("4")
        await driver.shows("# warm-down")
        await driver.press("j")
        await driver.shows("# tying")


async def test_waiting_agents_are_found() -> None:
    async with driving(snapshots.crashed()) as driver:
        await driver.press("1", "w")
        agents = driver.app.screen.query_one("#agents", Listing)
        assert agents.cursor == "junior-2"
        assert agents.has_focus


async def test_a_lab_that_cannot_be_read_says_so_and_recovers() -> None:
    async with driving(snapshots.mid(), unreadable="lab.db is locked") as driver:
        await driver.shows("✕ lab.db is locked")
        driver.port.unreadable = ""
        await driver.hides("lab.db is locked")
        await driver.shows("junior-1")


async def test_every_state_has_its_words_and_its_age() -> None:
    async with driving(snapshots.crashed(), 80, 30) as driver:
        lines = {line.split()[2]: line for line in driver.lines if "junior-" in line and "▌" not in line}
        text = driver.text
        assert "thinking · silent for 4m" in text
        assert "crashed 3× · r restarts" in text
        assert "reflecting · will stop" in text
        assert "no supervisor" in text
        assert lines


async def test_a_lab_that_cannot_write_says_why() -> None:
    stuck = dataclasses.replace(snapshots.mid(), trouble="the disk is full (3 MB left in /x)")
    async with driving(stuck) as driver:
        await driver.shows("✕ the disk is full (3 MB left")


def test_a_branch_is_its_chain_of_keeps() -> None:
    lab = snapshots.mid()
    rows = branch_rows(lab)
    kept = [one.id for one in lab.experiments if one.verdict is Verdict.KEEP]
    assert sorted(row.experiment.id for row in rows if row.experiment) == sorted(kept)
    assert [row.agent for row in rows if row.experiment is None] == ["junior-1", "junior-2"]


async def test_keys_typed_at_once_go_where_the_key_before_led() -> None:
    async with driving(snapshots.mid()) as driver:
        for key in ("1", "j", "j"):
            driver.app.simulate_key(key)
        board = driver.app.screen.query_one(Leaderboard)
        await driver.until(lambda: board.cursor_index == 2)
        assert driver.app.screen.query_one("#agents", Listing).cursor_index == 0


async def test_keys_that_come_before_everything_is_mounted_do_no_harm() -> None:
    app = LabApp(MemoryClient(snapshots.mid()), now=lambda: snapshots.NOW)
    async with app.run_test(size=(120, 40)):
        screen = app.screen
        assert isinstance(screen, LabScreen)
        await screen.query("#filter").remove()
        await screen.show_tab(Tab.LEADERBOARD)
        screen.action_filter()
        await screen.action_back()
