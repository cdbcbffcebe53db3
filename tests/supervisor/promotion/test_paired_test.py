"""What the evidence of a promotion says, by simulation and at its edges."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from supervisor.model.snapshot import Noise
from supervisor.model.states import Direction
from supervisor.promotion.paired_test import LOOKS, Answer, Comparison, Side, Weighing, weigh

SD = 0.01
KNOWN = Noise(SD, 8.0, 10)


def promoted(
    source: random.Random, gain: float, holdout_gain: float | None, noise: Noise | None = KNOWN
) -> tuple[Weighing, int]:
    """The end of one promotion, with the runs of each side that it took."""
    base, candidate, base_held, held = [], [], [], []
    runs = LOOKS[0]
    while True:
        while len(base) < runs:
            base.append(source.gauss(2.0, SD))
            candidate.append(source.gauss(2.0 - gain, SD))
            if holdout_gain is not None:
                base_held.append(source.gauss(2.1, SD))
                held.append(source.gauss(2.1 - holdout_gain, SD))
        sides = Side(tuple(base), tuple(base_held)), Side(tuple(candidate), tuple(held))
        weighing = weigh(Comparison(*sides, Direction.LOWER, noise))
        if weighing.answer is not Answer.MORE:
            return weighing, runs
        runs = weighing.runs_wanted


def share_of_yes(gain: float, holdout_gain: float | None, count: int, noise: Noise | None = KNOWN) -> float:
    source = random.Random(5)
    ends = [promoted(source, gain, holdout_gain, noise)[0].answer for _ in range(count)]
    return ends.count(Answer.YES) / count


@pytest.mark.parametrize("noise", [KNOWN, None, Noise(SD / 2, 2.5, 3), Noise(SD * 2, 2.5, 3)])
def test_identical_code_is_not_promoted(noise: Noise | None) -> None:
    assert share_of_yes(0.0, None, 1500, noise) <= 0.01


def test_a_gain_of_three_sds_is_promoted() -> None:
    assert share_of_yes(3 * SD, None, 600) >= 0.95
    assert share_of_yes(3 * SD, 3 * SD, 600) >= 0.95


def test_a_gain_that_the_holdout_lacks_is_refused() -> None:
    assert share_of_yes(6 * SD, 0.0, 600) <= 0.01
    ends = [promoted(random.Random(n), 6 * SD, 0.0)[0] for n in range(20)]
    assert any("holdout" in end.reason for end in ends)


def test_a_gain_of_which_the_holdout_shows_a_fifth_is_refused() -> None:
    assert share_of_yes(15 * SD, 3 * SD, 300) <= 0.05


def test_what_is_clear_takes_few_runs() -> None:
    source = random.Random(3)
    taken = [promoted(source, 5 * SD, 5 * SD)[1] for _ in range(100)]
    assert sum(taken) / len(taken) < 4.5


def side(*metrics: float) -> Side:
    return Side(metrics)


def test_higher_may_be_better() -> None:
    base, better = side(1.0, 1.01, 0.99), side(2.0, 2.01, 1.99)
    assert weigh(Comparison(base, better, Direction.HIGHER)).answer is Answer.YES
    assert weigh(Comparison(base, better, Direction.LOWER)).answer is Answer.NO


def test_failures_and_refusals_end_it() -> None:
    base, better = side(2.0, 2.01, 1.99), side(1.0, 1.01, 0.99)
    once = replace(better, failures=("it diverged",))
    assert weigh(Comparison(base, once, Direction.LOWER)).answer is Answer.YES
    twice = replace(better, failures=("it diverged",) * 2)
    end = weigh(Comparison(base, twice, Direction.LOWER))
    assert end.answer is Answer.NO and "it diverged" in end.reason
    refused = replace(better, rejection="it looks ahead")
    assert weigh(Comparison(base, refused, Direction.LOWER)).answer is Answer.NO


def test_numbers_without_any_noise_are_judged() -> None:
    same, better = side(2.0, 2.0, 2.0), side(1.0, 1.0, 1.0)
    assert weigh(Comparison(same, same, Direction.LOWER)).answer is Answer.NO
    assert weigh(Comparison(same, better, Direction.LOWER)).answer is Answer.YES
