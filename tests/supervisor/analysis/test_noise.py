"""The noise is what repeats show, a little prior aside."""

import math
import random
import statistics

import pytest

from supervisor.analysis.noise import PRIOR_SHARE_OF_LEVEL, estimate_noise

BASELINES = [1.801, 1.809, 1.797, 1.805]


def test_without_a_prior_one_group_gives_the_textbook_sd() -> None:
    noise = estimate_noise([BASELINES], prior_sd=0.0)
    assert noise.sd == pytest.approx(statistics.stdev(BASELINES))
    assert (noise.degrees_of_freedom, noise.runs) == (3, 4)


def test_variance_is_pooled_within_groups_and_never_across_them() -> None:
    better = [value - 0.3 for value in BASELINES]
    noise = estimate_noise([BASELINES, better], prior_sd=0.0)
    assert noise.sd == pytest.approx(statistics.stdev(BASELINES))
    assert (noise.degrees_of_freedom, noise.runs) == (6, 8)


def test_the_prior_counts_as_so_many_degrees_of_freedom() -> None:
    noise = estimate_noise([BASELINES], prior_sd=0.02, prior_weight=2.0)
    squares = 3 * statistics.variance(BASELINES)
    assert noise.sd == pytest.approx(math.sqrt((squares + 2 * 0.02**2) / 5))
    assert noise.degrees_of_freedom == 5


def test_one_run_leaves_only_the_prior_scaled_to_the_metrics_level() -> None:
    noise = estimate_noise([[-1.8]])
    assert noise.sd == pytest.approx(1.8 * PRIOR_SHARE_OF_LEVEL)
    assert noise.runs == 0
    assert 0 < noise.degrees_of_freedom < 1


def test_identical_repeats_do_not_make_the_noise_zero() -> None:
    noise = estimate_noise([[1.8] * 7])
    assert 0 < noise.sd < 1.8 * PRIOR_SHARE_OF_LEVEL


def test_identical_repeats_without_a_prior_are_exactly_zero() -> None:
    assert estimate_noise([[0.003] * 3, [1.1] * 3], prior_sd=0.0).sd == 0.0  # fsum([0.003] * 3) / 3 != 0.003


def test_nothing_at_all_has_no_degrees_of_freedom() -> None:
    for groups in ([], [[]], [[0.0]]):
        noise = estimate_noise(groups)
        assert (noise.sd, noise.degrees_of_freedom, noise.runs) == (0.0, 0.0, 0)


def test_the_floor_holds() -> None:
    assert estimate_noise([BASELINES], floor=0.05).sd == 0.05
    assert estimate_noise([BASELINES], floor=0.001).sd > 0.001


def test_a_wrong_prior_is_overruled_by_repeats() -> None:
    draw = random.Random(1)
    groups = [[draw.gauss(1.8, 0.01) for _ in range(6)] for _ in range(8)]
    for prior_sd in (0.001, 0.03):
        assert estimate_noise(groups, prior_sd=prior_sd).sd == pytest.approx(0.01, rel=0.3)


@pytest.mark.parametrize("scale", [1e-200, 1e-3, 1e3, 1e300])
def test_any_unit_will_do(scale: float) -> None:
    scaled = estimate_noise([[value * scale for value in BASELINES]])
    assert scaled.sd == pytest.approx(estimate_noise([BASELINES]).sd * scale)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="not a measurement"):
        estimate_noise([[1.8, bad]])
    for setting in ("prior_sd", "prior_weight", "floor"):
        with pytest.raises(ValueError, match="not a measurement"):
            estimate_noise([BASELINES], **{setting: bad})


@pytest.mark.parametrize("setting", ["prior_sd", "prior_weight", "floor"])
def test_negative_settings_are_refused(setting: str) -> None:
    with pytest.raises(ValueError, match="negative"):
        estimate_noise([BASELINES], **{setting: -0.1})
