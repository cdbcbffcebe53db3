"""What is believed of a campaign's commits: lucky draws shrink, claims are right, any noise will do, at any length."""

from __future__ import annotations

import copy
import math
import random
import time

import pytest

from supervisor.analysis.campaign_model import CampaignModel, MeasuredRun, Settled
from supervisor.analysis.expected_gain import DecideRules, Ruling, decide, falls_back
from supervisor.analysis.gain_prior import Difference, Effect, GainRecord, estimate_gain
from supervisor.analysis.machine_change import evidence_of_change

RULES = DecideRules()


def opened(*baseline: float, level: float = 1.0, sigma: float = 0.004) -> CampaignModel:
    """A model after baseline runs, in noises above the level."""
    model = CampaignModel()
    for value in baseline:
        model.take(MeasuredRun("base", None, "cpu:0", level + sigma * value))
    return model


BASE = (0.4, -0.9, 0.8, -0.3)


def ruling_on(model: CampaignModel, gain: float, sigma: float = 0.004, level: float = 1.0) -> Ruling:
    model.take(MeasuredRun("c", "base", "cpu:0", level + sigma * gain))
    return decide(model, "c", RULES).ruling


@pytest.mark.parametrize("sigma", [1e-4, 7e-4, 0.01, 0.05, 3.0])
def test_one_run_is_enough_whatever_the_noise_of_the_lab(sigma: float) -> None:
    assert ruling_on(opened(*BASE, sigma=sigma), 6.0, sigma) is Ruling.KEEP
    assert ruling_on(opened(*BASE, sigma=sigma), -3.0, sigma) is Ruling.DISCARD


def test_a_lab_without_any_noise_decides_by_the_number_alone() -> None:
    for gain, ruling in ((1e-4, Ruling.KEEP), (0.0, Ruling.DISCARD), (-1e-4, Ruling.DISCARD)):
        assert ruling_on(opened(0.0, 0.0, 0.0, 0.0), gain / 0.004) is ruling


def test_a_lucky_draw_shrinks_and_a_gain_is_never_more_than_what_was_measured() -> None:
    model = opened(*BASE)
    model.take(MeasuredRun("c", "base", "cpu:0", 1.0 + 0.004 * 2))
    estimate = model.gain("c")
    assert 0 < estimate.gain < 0.6 * 0.008
    assert 0.2 < estimate.p_better < 0.95


def test_a_near_miss_gets_another_run_and_a_clear_loss_none() -> None:
    model = opened(*BASE, *BASE)
    for number in range(30):  # nothing gains here: a fresh candidate is worth little
        model.take(MeasuredRun(f"l{number}", "base", "cpu:0", 1.0 - 0.004 * (3 + number % 5)))
        assert decide(model, f"l{number}", RULES).ruling is Ruling.DISCARD
        model.take(Settled(f"l{number}", False))
    assert ruling_on(model, 0.6) is Ruling.REPEAT


def test_lines_have_their_price() -> None:
    model = opened(*BASE)
    model.take(MeasuredRun("c", "base", "cpu:0", 1.0 + 0.004 * 3))
    dear = DecideRules(line_price=0.2)
    assert decide(model, "c", dear, lines_added=2).ruling is Ruling.KEEP
    assert decide(model, "c", dear, lines_added=40).ruling is not Ruling.KEEP
    assert decide(model, "c", dear, lines_added=-40).ruling is Ruling.KEEP


def test_a_keep_that_turns_out_to_be_none_is_left_again() -> None:
    model = opened(*BASE)
    model.take(MeasuredRun("c", "base", "cpu:0", 1.0 + 0.004 * 2))
    model.take(Settled("c", True))
    assert not falls_back(model, "c")
    for value in (-2.5, -3.0, -2.0, -2.2):
        model.take(MeasuredRun("c", "base", "cpu:0", 1.0 + 0.004 * value))
    assert falls_back(model, "c")


def test_a_slow_device_is_told_from_a_loss() -> None:
    model, dice = CampaignModel(), random.Random(1)
    slow = {"cpu:0": 0.0, "cpu:1": -3.0}
    for turn in range(12):
        device = f"cpu:{turn % 2}"
        model.take(MeasuredRun("base", None, device, 1 + 0.004 * (slow[device] + dice.gauss(0, 1))))
    model.take(MeasuredRun("c", "base", "cpu:1", 1 + 0.004 * (slow["cpu:1"] + 3.0)))
    assert decide(model, "c", RULES).ruling is Ruling.KEEP


def test_the_same_happenings_always_mean_the_same() -> None:
    dice, model = random.Random(2), opened(*BASE)
    for number in range(60):
        model.take(MeasuredRun(f"c{number}", "base", "cpu:0", 1 + 0.004 * dice.gauss(-0.5, 2)))
        if number == 30:
            halfway = copy.deepcopy(model)
        model.take(Settled(f"c{number}", model.gain(f"c{number}").gain > 0.001))
    again = CampaignModel()
    for happening in model.happenings:
        again.take(happening)
    for happening in model.happenings[len(halfway.happenings) :]:
        halfway.take(happening)
    assert again.joint.means == model.joint.means == halfway.joint.means
    assert again.noise_sd == model.noise_sd


def test_ten_thousand_more_runs_cost_no_more_than_the_first() -> None:
    dice, model = random.Random(3), opened(*BASE)

    def thousand(start: int) -> float:
        began = time.process_time()
        for number in range(start, start + 1000):
            model.take(MeasuredRun(f"c{number}", "base", "cpu:0", 1 + 0.004 * dice.gauss(-2, 1)))
            model.take(Settled(f"c{number}", False))
        return time.process_time() - began

    first = thousand(0)
    model.happenings = (
        model.happenings[:1] * 100_000
    )  # as long a past, which nothing but a new beginning reads
    assert thousand(1000) < 3 * first + 0.1
    assert len(model.joint.names) < 12


def test_what_changes_do_is_learned_and_by_kind_once_there_is_enough() -> None:
    record, prior = GainRecord(), GainRecord().prior("", 1.0)
    assert math.isclose(sum(effect.share for effect in prior), 1.0)
    won = estimate_gain(Difference(2.5, 0.01, 0.01, 50), prior)
    lost = estimate_gain(Difference(-6.0, 0.01, 0.01, 50), prior)
    for _ in range(20):
        record.learn("schedule", won)
        record.learn("shape", lost)

    def better(kind: str) -> float:
        return sum(effect.share for effect in record.prior(kind, 1.0) if effect.size > 0)

    assert better("shape") < better("") < better("schedule")
    assert better("never seen") == better("")
    assert math.isclose(sum(effect.share for effect in record.prior("shape", 1.0)), 1.0)


def test_an_estimate_agrees_with_integration() -> None:
    prior = (Effect(0.5, 0.0), Effect(0.2, 1.5), Effect(0.3, -4.0))
    for difference in (-9.0, -0.7, 0.0, 0.4, 2.0, 30.0):
        seen = Difference(difference, 0.3, 0.9, 1e6)
        weights, first, better = 0.0, 0.0, 0.0
        for at in range(-40_000, 40_001):
            gain = at / 1000
            density = 0.2 / 1.5 * math.exp(-gain / 1.5) if gain > 0 else 0.3 / 4 * math.exp(gain / 4)
            weight = density * math.exp(-((difference - gain) ** 2) / 2 / 1.2) / 1000
            weight += 0.5 * math.exp(-(difference**2) / 2 / 1.2) * (at == 0)
            weights, first, better = weights + weight, first + weight * gain, better + weight * (gain > 0)
        estimate = estimate_gain(seen, prior)
        assert estimate.gain == pytest.approx(first / weights, abs=0.03, rel=0.03)
        assert estimate.p_better == pytest.approx(better / weights, abs=0.02)


def test_a_changed_machine_is_evident_and_an_unchanged_one_is_not() -> None:
    dice = random.Random(5)

    def told(change: float) -> bool:
        values = [dice.gauss(0, 1) for _ in range(10)]
        for _ in range(10):
            values.append(change + dice.gauss(0, 1))
            if evidence_of_change(values, 4, 1.0, 6.0).is_certain:
                return True
        return False

    assert sum(told(0.0) for _ in range(400)) <= 4
    assert sum(told(3.0) for _ in range(200)) >= 190
