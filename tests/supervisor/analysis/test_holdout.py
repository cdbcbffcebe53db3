"""Gains that are there on the sealed holdout, and gains that are not."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from supervisor.analysis.holdout import HoldoutVerdict, Pair, check_holdout, compare_on_holdout, pool
from supervisor.loop.publishing import result
from supervisor.model import ids
from supervisor.model.actions import Adopt
from supervisor.model.experiment import Flag
from supervisor.model.states import RunKind, Verdict
from supervisor.store.runs import insert_flags
from tests.worlds.fast_motion import TAG, World


def runs(level: float, gap: float, count: int, dice: random.Random, sd: float = 0.01) -> list[Pair]:
    validation = [level + dice.gauss(0, sd) for _ in range(count)]
    return [(value, value + gap + dice.gauss(0, sd / 4)) for value in validation]


def test_figures_that_are_known_on_paper() -> None:
    base, candidate = [(2.0, 2.1), (2.0, 2.1)], [(1.8, 2.0), (1.8, 2.0)]
    check = compare_on_holdout(candidate, base, pool([base, candidate]), -1.0)
    assert check is not None
    assert check.validation_gain == pytest.approx(0.2)
    assert check.holdout_gain == pytest.approx(0.1)
    assert (check.share, check.share_low, check.share_high) == pytest.approx((0.5, 0.5, 0.5))


def test_what_two_texts_share_cancels() -> None:
    base, candidate = [(2.02, 2.12), (1.98, 2.08)], [(1.82, 1.92), (1.78, 1.88)]
    check = compare_on_holdout(candidate, base, pool([base, candidate]), -1.0)
    assert check is not None
    assert (check.share_low, check.share_high) == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize(
    ("gain", "overfit", "expected"),
    [
        (0.2, 0.0, HoldoutVerdict.CONFIRMED),
        (0.2, 0.05, HoldoutVerdict.CONFIRMED),
        (0.2, 0.2, HoldoutVerdict.REFUTED),
        (0.5, 0.45, HoldoutVerdict.REFUTED),
    ],
)
def test_clear_cases_are_told_apart(gain: float, overfit: float, expected: HoldoutVerdict) -> None:
    dice = random.Random(1)
    for _ in range(100):
        base, candidate = runs(2.0, 0.1, 3, dice), runs(2.0 - gain, 0.1 + overfit, 3, dice)
        check = compare_on_holdout(candidate, base, pool([base, candidate]), -1.0)
        assert check is not None
        assert check.verdict is expected


def test_honest_gains_of_any_size_are_hardly_ever_refuted() -> None:
    dice, refuted = random.Random(2), 0
    for _ in range(2000):
        base, candidate = runs(2.0, 0.1, 3, dice), runs(2.0 - dice.uniform(0, 0.06), 0.1, 3, dice)
        check = compare_on_holdout(candidate, base, pool([base, candidate]), -1.0)
        assert check is not None
        refuted += check.verdict is HoldoutVerdict.REFUTED
    assert refuted <= 40  # 2 %


def test_too_few_runs_say_nothing() -> None:
    base = [(2.0, 2.1), (2.01, 2.1)]
    check = compare_on_holdout([(1.5, 2.1)], base, pool([base]), -1.0)
    assert check is not None
    assert check.verdict is HoldoutVerdict.UNKNOWN
    assert compare_on_holdout([], base, pool([base]), -1.0) is None


def test_a_keep_that_is_good_on_the_validation_text_only_is_no_champion(tmp_path: Path) -> None:
    world = World(tmp_path, experiments=10, gain_of=lambda n: 0.2 if n == 1 else -0.1)
    world.overfits = lambda n: 0.2 if n == 1 else 0.0
    end = world.play()
    kept = next(e for e in end.experiments if e.verdict is Verdict.KEEP)
    check = check_holdout(end, kept)
    assert check is not None
    assert check.verdict is HoldoutVerdict.REFUTED
    assert end.champion_id == end.baseline_id
    assert all(agent.incumbent_id != kept.id for agent in end.agents)
    assert any(isinstance(a, Adopt) and "sealed holdout" in a.why for a in world.done)


@pytest.mark.parametrize(
    ("rule", "overfit", "is_champion"),
    [
        ("embedded-data", 0.0, True),
        ("embedded-data", 0.08, False),
        ("files", 0.0, False),
        ("compute-after-the-clock", 0.0, False),
    ],
)
def test_what_is_flagged_must_be_confirmed(
    tmp_path: Path, rule: str, overfit: float, is_champion: bool
) -> None:
    world = World(tmp_path, experiments=6, gain_of=lambda n: 0.1 if n == 1 else -0.1)
    world.overfits = lambda n: overfit if n == 1 else 0.0
    world.act()
    while not world.snapshot().experiment("e0000").verdict:  # type: ignore[union-attr]
        world.finish(world.running()[0])
        world.act()
    first = world.draft("junior-1")
    assert first is not None
    with world.store.transaction() as db:
        insert_flags(db, ids.number_of(first), [Flag(rule, "train.py", 3, "open(x)", "reads a file")])
    end = world.play()
    kept = end.experiment(first)
    assert kept is not None
    assert kept.verdict is Verdict.KEEP
    assert (end.champion_id == first) is is_champion


def test_every_keep_is_verified(tmp_path: Path) -> None:
    world = World(tmp_path, experiments=6, gain_of=lambda n: 0.1 if n <= 2 else 0.0)
    for kept in (e for e in world.play().experiments if e.verdict is Verdict.KEEP):
        assert sum(run.kind is RunKind.VERIFICATION for run in kept.runs) >= 3


def test_no_holdout_no_refusal(tmp_path: Path) -> None:
    world = World(tmp_path, experiments=4, gain_of=lambda n: 0.2 if n == 1 else 0.0, has_holdout=False)
    end = world.play()
    assert end.champion_id != end.baseline_id


def test_agents_never_read_a_holdout_figure(tmp_path: Path) -> None:
    end = World(tmp_path, experiments=3, gain_of=lambda _: 0.2).play()
    assert any(run.holdout is not None for e in end.experiments for run in e.runs)
    for experiment in end.experiments:
        assert "holdout" not in json.dumps(result(experiment), default=str)
    assert end.campaign is not None
    assert end.campaign.tag == TAG
