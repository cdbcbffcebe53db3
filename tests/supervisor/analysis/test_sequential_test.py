"""A keep is told from noise: single decisions, then whole simulated labs."""

import importlib
import math
import random
from pathlib import Path
from types import ModuleType

import pytest

from supervisor.analysis.noise import estimate_noise
from supervisor.analysis.sequential_test import (
    DecideRules,
    Decision,
    DecisionRule,
    Ruling,
    decide,
    fresh_runs_wanted,
)
from supervisor.model.snapshot import Noise
from supervisor.model.states import Direction

RULES = DecideRules()
NOISE = Noise(sd=0.01, degrees_of_freedom=8.5, runs=10)
WORST_TO_BEST = (Ruling.DISCARD, Ruling.REPEAT_CANDIDATE, Ruling.REPEAT_INCUMBENT, Ruling.KEEP)


def judged(gains: list[float], known: int = 12, noise: Noise = NOISE, rules: DecideRules = RULES) -> Decision:
    """The decision on a candidate whose runs beat those of an incumbent, `known` equal ones, by `gains`."""
    return decide([1.8 - gain for gain in gains], [1.8] * known, noise, rules, Direction.LOWER)


def test_a_clear_gain_is_kept_after_one_run() -> None:
    decision = judged([0.08])
    assert (decision.ruling, decision.rule) == (Ruling.KEEP, DecisionRule.CLEARLY_BETTER)
    assert decision.gain == pytest.approx(0.08)
    assert 0 < decision.gain_low < decision.gain < decision.gain_high
    assert decision.confidence > 0.999
    assert decision.runs_wanted == 0


def test_a_loss_and_a_tie_are_discarded_after_one_run() -> None:
    for gain in (-0.05, 0.0):
        assert judged([gain]).ruling is Ruling.DISCARD
    assert judged([0.0]).confidence == pytest.approx(0.5)


def test_a_promising_candidate_gets_one_more_seed() -> None:
    decision = judged([0.025])
    assert (decision.ruling, decision.rule, decision.runs_wanted) == (
        Ruling.REPEAT_CANDIDATE,
        DecisionRule.IN_BETWEEN,
        1,
    )


def test_the_same_mean_says_more_after_more_runs() -> None:
    assert judged([0.02] * 2).ruling is Ruling.REPEAT_CANDIDATE
    assert judged([0.02] * 5).ruling is Ruling.KEEP


def test_the_last_run_decides() -> None:
    for gain in (0.001 * step for step in range(-20, 40)):
        assert judged([gain] * RULES.max_runs).ruling in (Ruling.KEEP, Ruling.DISCARD)
    assert judged([0.01] * RULES.max_runs).rule is DecisionRule.RUNS_SPENT


def test_a_close_call_waits_until_the_incumbent_is_known() -> None:
    decision = judged([0.02] * RULES.max_runs, known=6)
    assert (decision.ruling, decision.rule) == (Ruling.REPEAT_INCUMBENT, DecisionRule.INCUMBENT_UNKNOWN)
    assert decision.runs_wanted == 6
    assert (
        judged([0.02] * RULES.max_runs, known=6 + decision.runs_wanted).ruling is not Ruling.REPEAT_INCUMBENT
    )


def test_what_would_be_kept_is_not_discarded_while_the_incumbent_is_unknown() -> None:
    generous = DecideRules(false_keep_rate=0.2)
    assert judged([0.006] * 5, known=12, rules=generous).ruling is Ruling.KEEP
    assert judged([0.006] * 5, known=6, rules=generous).ruling is Ruling.REPEAT_INCUMBENT


def test_nothing_is_kept_against_one_or_two_runs_of_the_incumbent() -> None:
    for known in (1, 2):
        decision = judged([0.3], known=known)
        assert (decision.ruling, decision.runs_wanted) == (Ruling.REPEAT_INCUMBENT, 3 - known)


def test_a_clear_loss_wastes_no_run_of_an_unknown_incumbent() -> None:
    assert judged([-0.05], known=1).ruling is Ruling.DISCARD
    assert judged([-0.005], known=1).ruling is Ruling.REPEAT_INCUMBENT
    only_the_prior = estimate_noise([[1.8]])
    assert judged([-0.5], known=1, noise=only_the_prior).ruling is Ruling.DISCARD


def test_fewer_degrees_of_freedom_ask_for_more() -> None:
    gain = [0.05]
    assert judged(gain, noise=Noise(0.01, 40, 41)).ruling is Ruling.KEEP
    assert judged(gain, noise=Noise(0.01, 3, 4)).ruling is Ruling.REPEAT_CANDIDATE


def test_the_noise_floor_is_the_least_noise() -> None:
    assert judged([0.08], rules=DecideRules(noise_floor=0.05)).ruling is Ruling.REPEAT_CANDIDATE
    assert judged([0.08], rules=DecideRules(noise_floor=0.001)) == judged([0.08])


@pytest.mark.parametrize("max_runs", [1, 2, 3, 8])
def test_any_number_of_runs_ends_in_a_verdict(max_runs: int) -> None:
    rules = DecideRules(max_runs=max_runs)
    for seed in range(50):
        draw = random.Random(seed)
        gain, incumbent, candidate = draw.choice([0, 1, 2]), [draw.gauss(0, 1)], [draw.gauss(0, 1)]
        for _ in range(40):
            decision = decide(
                candidate, incumbent, estimate_noise([incumbent], prior_sd=1), rules, Direction.HIGHER
            )
            if decision.ruling is Ruling.REPEAT_CANDIDATE:
                candidate.append(gain + draw.gauss(0, 1))
            elif decision.ruling is Ruling.REPEAT_INCUMBENT:
                incumbent += [draw.gauss(0, 1) for _ in range(decision.runs_wanted)]
            else:
                break
        assert decision.ruling in (Ruling.KEEP, Ruling.DISCARD)
        assert len(candidate) <= max_runs


def random_case(seed: int) -> tuple[list[float], list[float], Noise]:
    """Runs of a candidate and of an incumbent, anywhere in the rule's range, and a noise for them."""
    draw = random.Random(seed)
    incumbent = [draw.gauss(1.8, 0.01) for _ in range(draw.randint(1, 16))]
    gain = draw.uniform(-0.03, 0.06)
    candidate = [draw.gauss(1.8 - gain, 0.01) for _ in range(draw.randint(1, 5))]
    return candidate, incumbent, estimate_noise([incumbent, [draw.gauss(2, 0.01) for _ in range(4)]])


def test_a_better_candidate_never_fares_worse() -> None:
    for seed in range(40):
        candidate, incumbent, noise = random_case(seed)
        ranks = []
        for step in range(60):
            better = [value - 0.002 * (step - 20) for value in candidate]
            ruling = decide(better, incumbent, noise, RULES, Direction.LOWER).ruling
            ranks.append(WORST_TO_BEST.index(ruling))
        assert ranks == sorted(ranks)


def test_direction_scale_and_shift_change_nothing_but_the_unit() -> None:
    rulings = set()
    for seed in range(300):
        candidate, incumbent, noise = random_case(seed)
        plain = decide(candidate, incumbent, noise, RULES, Direction.LOWER)
        assert plain == decide(candidate, incumbent, noise, RULES, Direction.LOWER)
        for factor, shift, direction in (
            (-1, 0, Direction.HIGHER),
            (1e6, 0, Direction.LOWER),
            (1, 5, Direction.LOWER),
        ):
            other = decide(
                [factor * value + shift for value in candidate],
                [factor * value + shift for value in incumbent],
                Noise(abs(factor) * noise.sd, noise.degrees_of_freedom, noise.runs),
                RULES,
                direction,
            )
            assert other.ruling is plain.ruling
            assert other.confidence == pytest.approx(plain.confidence, abs=1e-9)
            assert other.gain_low == pytest.approx(plain.gain_low * abs(factor), rel=1e-6, abs=1e-12)
        rulings.add(plain.ruling)
    assert rulings == set(Ruling)


def test_runs_without_any_spread_still_get_a_verdict() -> None:
    silent = Noise(sd=0.0, degrees_of_freedom=3, runs=4)
    assert judged([1e-9], noise=silent).ruling is Ruling.KEEP
    assert judged([0.0] * 3, noise=silent).ruling is Ruling.DISCARD
    assert judged([-1e-9], noise=silent).ruling is Ruling.DISCARD
    assert decide([0.003], [0.003] * 3, silent, RULES, Direction.LOWER).gain == 0.0


def test_without_any_knowledge_of_the_noise_the_incumbent_is_repeated() -> None:
    decision = judged([0.3], known=1, noise=Noise(sd=0.0, degrees_of_freedom=0, runs=0))
    assert decision.ruling is Ruling.REPEAT_INCUMBENT
    assert decision.runs_wanted > 0
    assert not any(map(math.isnan, (decision.gain_low, decision.gain_high, decision.confidence)))


def test_huge_values_do_no_harm() -> None:
    incumbent = [1.00e300, 1.01e300, 0.99e300] * 4
    noise = estimate_noise([incumbent])
    assert decide([0.5e300], incumbent, noise, RULES, Direction.LOWER).ruling is Ruling.KEEP
    assert decide([1e308], [1.8] * 12, NOISE, RULES, Direction.LOWER).ruling is Ruling.DISCARD
    assert decide([-1e308], [1.8] * 12, NOISE, RULES, Direction.LOWER).ruling is Ruling.KEEP


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_never_gets_in(bad: float) -> None:
    for candidate, incumbent, noise in (
        ([1.7, bad], [1.8] * 3, NOISE),
        ([1.7], [1.8, 1.8, bad], NOISE),
        ([1.7], [1.8] * 3, Noise(bad, 3, 4)),
        ([1.7], [1.8] * 3, Noise(0.01, bad, 4)),
    ):
        with pytest.raises(ValueError, match="not a measurement"):
            decide(candidate, incumbent, noise, RULES, Direction.LOWER)


def test_a_decision_needs_runs_of_both() -> None:
    for candidate, incumbent in (([], [1.8]), ([1.8], [])):
        with pytest.raises(ValueError, match="at least one run"):
            decide(candidate, incumbent, NOISE, RULES, Direction.LOWER)


@pytest.mark.parametrize(
    "settings", [{"false_keep_rate": 0}, {"false_keep_rate": 1}, {"max_runs": 0}, {"noise_floor": math.nan}]
)
def test_rules_that_make_no_sense_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        DecideRules(**settings)  # type: ignore[arg-type]


def test_reasons_are_one_line_with_the_figures_in_it() -> None:
    reason = judged([0.02] * RULES.max_runs, known=6).reason
    assert "\n" not in reason
    assert "+0.02" in reason
    assert "needs 6 more" in reason


def test_fresh_runs_grow_with_the_candidates_judged_and_end_at_a_cap() -> None:
    wanted = [fresh_runs_wanted(0, judged_so_far, RULES) for judged_so_far in range(200)]
    assert wanted[0] == 3
    assert wanted == sorted(wanted)
    assert 10 <= wanted[-1] <= 20
    assert fresh_runs_wanted(17, 0, RULES) == 17


# The rule as a whole, on fewer labs than the benchmark; the bounds are several standard errors away.


@pytest.fixture
def labs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The simulation behind `benchmarks/verdicts.py`."""
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "benchmarks")
    return importlib.import_module("simulated_labs")


def test_identical_candidates_are_not_kept_and_nothing_is_claimed(labs: ModuleType) -> None:
    nothing = labs.World(gains=labs.always(0))
    ours = labs.simulate(labs.Ours(), nothing, 300, 100, seed=1)
    assert ours.kept.mean() <= 0.01
    assert abs(ours.claimed.mean()) <= 0.2
    assert labs.simulate(labs.BestSoFar(), nothing, 300, 100, seed=1).claimed.mean() > 2.3


@pytest.mark.parametrize(("gain", "share"), [(2, 0.70), (3, 0.95)])
def test_true_gains_are_kept_against_six_runs(labs: ModuleType, gain: float, share: float) -> None:
    world = labs.World(gains=labs.always(gain))
    assert labs.simulate(labs.Ours(baselines=6), world, 5000, 1, seed=1).kept.mean() >= share


def test_the_realistic_mix_is_cheap_and_its_champion_keeps_its_word(labs: ModuleType) -> None:
    mixed = labs.simulate(labs.Ours(), labs.World(gains=labs.realistic), 200, 100, seed=1)
    assert mixed.runs_per_candidate <= 2.2
    assert mixed.share_kept(0, 0) <= 0.01
    assert mixed.share_kept(-10, -0.5) <= 0.001
    assert mixed.claimed.mean() == pytest.approx(mixed.true.mean(), abs=0.5)


def test_the_simulated_lab_estimates_its_noise_as_the_real_one_does(labs: ModuleType) -> None:
    rng = importlib.import_module("numpy").random.default_rng(1)
    lab = labs.Labs(1, labs.World(gains=labs.always(0)), rng)
    runs: list[float] = []
    for _ in range(5):
        lab.repeat_incumbent(lab.judged + 1)
        runs.append(float(lab.mean[0] * lab.runs[0]) - sum(runs))
    expected = estimate_noise([runs], prior_sd=float(lab.prior_sd[0]))
    sd, degrees = lab.noise()
    assert (float(sd[0]), float(degrees[0])) == pytest.approx((expected.sd, expected.degrees_of_freedom))
