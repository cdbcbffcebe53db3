"""One table of commands: bindings, help, palette and the docs page say the same."""

from collections import Counter
from pathlib import Path

import pytest
from textual.screen import Screen

from tests.tui.screen import snapshots
from tests.tui.screen.driving import driving
from tui.screen.actions.dialogs import AskLine, Confirm, TextScreen
from tui.screen.actions.footer import footer_line
from tui.screen.actions.help import Help, HelpText
from tui.screen.actions.keys import COMMANDS, MODAL_TABLE, MOVES, Heading, Needs, keys_page
from tui.screen.app import LabCommands
from tui.screen.lab import LabScreen
from tui.screen.panels.promotion import PromotionScreen
from tui.screen.verbs import VERBS

PAGE = Path(__file__).parents[3] / "docs" / "keys.md"


def test_every_command_is_bound_and_nothing_else_is() -> None:
    bound = {(binding.key, binding.action) for binding in LabScreen.BINDINGS}
    table = {(key, one.action.format(key=key)) for one in COMMANDS for key in one.keys}
    assert bound - table == {("g", "half_top")}
    assert table <= bound


def test_every_command_has_its_action() -> None:
    for command in COMMANDS:
        assert callable(getattr(LabScreen, f"action_{command.action.partition('(')[0]}")), command.id


@pytest.mark.parametrize(
    ("heading", "screen"),
    [
        (Heading.QUESTION, Confirm),
        (Heading.LINE, AskLine),
        (Heading.TEXT, TextScreen),
        (Heading.HELP, Help),
        (Heading.PROMOTION, PromotionScreen),
    ],
)
def test_every_key_of_a_dialog_is_in_the_table_and_works(
    heading: Heading, screen: type[Screen[None]]
) -> None:
    bound = {(binding.key, binding.action) for binding in vars(screen)["BINDINGS"]}
    table = {(key, one.action) for one in MODAL_TABLE[heading] for key in one.keys}
    moves = {(key, one.action) for one in MOVES for key in one.keys}
    assert table <= bound <= table | moves
    for _, action in bound:
        assert callable(getattr(screen, f"action_{action.partition('(')[0]}")), action


def test_every_verb_of_the_table_is_one_and_every_verb_has_a_key() -> None:
    assert {one.action for one in COMMANDS if one.action.startswith("ask(")} == {
        f"ask('{verb}')" for verb in VERBS
    }


def test_two_commands_share_a_key_only_where_one_of_them_can_work() -> None:
    keys = Counter(key for command in COMMANDS for key in command.keys)
    shared = {
        key: [one.needs for one in COMMANDS if key in one.keys] for key, count in keys.items() if count > 1
    }
    assert shared == {
        "enter": [Needs.AGENT, Needs.EXPERIMENT_ROW],
        "space": [Needs.AGENT_GOING, Needs.AGENT_PAUSED],
    }


def test_help_names_every_command() -> None:
    text = "\n".join("".join(part for part, _ in line) for line in HelpText().build(200))
    for command in COMMANDS:
        assert command.shown in text
        assert command.help in " ".join(text.split())


def test_every_line_of_help_fits() -> None:
    assert max(sum(len(part) for part, _ in line) for line in HelpText().build(60)) <= 60


def test_the_docs_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == keys_page(), (
        "python -P -m tui.screen.actions.keys > docs/keys.md"
    )


def test_the_footer_drops_the_least_important_keys_first() -> None:
    offered = [one for one in COMMANDS if one.footer]
    wide = "".join(text for text, _ in footer_line(offered, 400))
    narrow = "".join(text for text, _ in footer_line(offered, 60))
    assert all(one.label in wide for one in offered)
    assert len(narrow) == 60
    assert "attach" in narrow and "sort" not in narrow and narrow.endswith("q quit")


async def test_only_keys_that_work_are_shown() -> None:
    async with driving(snapshots.empty()) as driver:
        assert "attach" not in driver.footer and "hypothesis" not in driver.footer
        driver.change(snapshots.mid())
        await driver.until(lambda: "attach" in driver.footer)
        assert "sort" not in driver.footer
        await driver.press("1")
        await driver.until(lambda: "open" in driver.footer)
        assert "attach" not in driver.footer and "pause" not in driver.footer


async def test_a_key_out_of_place_does_nothing() -> None:
    async with driving(snapshots.mid()) as driver:
        await driver.press("1", "x", "space", "a", "j")
        assert driver.port.requests == []
        assert len(driver.app.screen_stack) == 1


async def test_help_opens_and_closes() -> None:
    async with driving(snapshots.mid()) as driver:
        await driver.press("question_mark")
        await driver.shows("Esc closes")
        await driver.press("escape")
        await driver.hides("Esc closes")


async def test_the_palette_offers_what_works_here_and_does_it() -> None:
    async with driving(snapshots.mid()) as driver:
        hits = [hit async for hit in LabCommands(driver.app.screen).search("hypothesis of yours")]
        assert len(hits) == 1
        assert not [hit async for hit in LabCommands(driver.app.screen).search("Sort by rank")]
        await driver.press("colon")
        await driver.until(lambda: len(driver.app.screen_stack) == 2)
        await driver.press(*"yours", "enter")
        await driver.shows("A hypothesis of yours")
