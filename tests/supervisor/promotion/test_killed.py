"""Promotions and rollbacks that are killed at every step, and gone on with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.model.promotion import PromotionState
from supervisor.promotion import apply as preparing
from supervisor.promotion import land as landing
from supervisor.promotion.commands import accept_and_land, roll_back
from supervisor.store import promotions
from supervisor.store.reading import all_promotions
from tests.supervisor.promotion.world import SD, PromotionWorld
from tests.worlds.labs import git

GOOD, BEST, LUCKY, OTHER, USELESS = "GOOD = 1", "BEST = 1", "LUCKY = 1", "OTHER = 1", "USELESS = 1"


@pytest.fixture
def world(tmp_path: Path) -> PromotionWorld:
    made = PromotionWorld(tmp_path / "lab")
    made.worth = {GOOD: 6 * SD, OTHER: 6 * SD, BEST: 9 * SD}
    return made


def yes(world: PromotionWorld, number: int) -> PromotionState:
    return accept_and_land(world.lab, world.store, world.repository, number, world.now).state


STEPS = (
    (promotions, "request_promotion"),
    (preparing, "keep"),
    (promotions, "take_piece"),
    (promotions, "measure_piece"),
    (promotions, "settle_piece"),
    (promotions, "accept"),
    (landing, "keep"),
    (landing, "advance_branch"),
    (promotions, "record_landed"),
)


class KilledError(Exception):
    """The process dies here."""


def test_a_rollback_that_was_killed_goes_on_and_blocks_nothing(
    world: PromotionWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.keep("junior-1", {5: GOOD}, 6 * SD)
    world.stop()
    number = world.ask().number
    world.settle()
    yes(world, number)
    deaths = dies_around_transitions(monkeypatch, after=True)
    for _ in range(20):
        assert world.is_over()
        if all_promotions(world.store)[-1].state is PromotionState.LANDED and len(deaths) > 2:
            break
        try:
            roll_back(world.lab, world.store, world.repository, world.now)
        except KilledError:
            world.now += 5
    assert [p.state for p in all_promotions(world.store)] == [PromotionState.LANDED] * 2
    assert git(world.lab.root, "rev-list", "--count", "main").strip() == "3"
    assert world.canvas("main")[4] == "LINE_5 = 5"


@pytest.mark.parametrize("after", [True, False])
def test_killed_at_every_step_it_lands_once(
    world: PromotionWorld, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = world.keep("junior-1", {5: GOOD}, 6 * SD, settle=False)
    two = world.keep("junior-2", {20: OTHER}, 6 * SD)
    world.stop()
    before = world.repository.rev_parse("main")
    deaths = dies_around_transitions(monkeypatch, after)
    number, state = 0, None
    for _ in range(400):
        try:
            number = number or world.ask(one.id, two.id).number
            world.settle()
            state = yes(world, number)
            break
        except KilledError:
            world.now += 5
    assert state is PromotionState.LANDED
    assert {*deaths} == {f"{place.__name__.rpartition('.')[2]}.{name}" for place, name in STEPS}
    assert [p.state for p in world.snapshot().promotions] == [PromotionState.LANDED]
    assert git(world.lab.root, "rev-list", "--count", f"{before}..main").strip() == "1"
    assert git(world.lab.root, "status", "--porcelain") == ""
    for piece in world.promotion(number).pieces[1:]:
        assert piece.base is not None and piece.candidate is not None
        assert len(piece.base.runs) == len(piece.candidate.runs)


def dies_around_transitions(monkeypatch: pytest.MonkeyPatch, after: bool) -> list[str]:
    """Every step of git and of the store dies twice, just before or just after it is done; returns the deaths."""
    deaths: list[str] = []

    def mortal(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **options: object) -> object:
            dying = deaths.count(name) < 2
            result = None if dying and not after else real(*arguments, **options)
            if dying:
                deaths.append(name)
                raise KilledError(name)
            return result

        return step

    for place, name in STEPS:
        label = f"{place.__name__.rpartition('.')[2]}.{name}"
        monkeypatch.setattr(place, name, mortal(label, getattr(place, name)))
    return deaths
