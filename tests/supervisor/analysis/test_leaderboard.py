"""The leaderboard: only what was measured has a rank, and only within its setting."""

import dataclasses
import math

import pytest

from supervisor.analysis.leaderboard import Row, leaderboard
from supervisor.model.experiment import Experiment, Flag, Run
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import Direction, RunKind, Verdict
from tests.tui.screen import snapshots


def lab(*more: Experiment, direction: Direction = Direction.LOWER, champion: str = "e0000") -> LabSnapshot:
    campaign = dataclasses.replace(snapshots.CAMPAIGN, direction=direction)
    return dataclasses.replace(
        snapshots.mid(), campaign=campaign, experiments=(snapshots.baseline(), *more), champion_id=champion
    )


def one(
    number: int, *metrics: float | None, verdict: Verdict = Verdict.DISCARD, **more: object
) -> Experiment:
    one_id = f"e{number:04d}"
    experiment = dataclasses.replace(
        snapshots.baseline(),
        id=one_id,
        agent="junior-1",
        parent_id="e0000",
        verdict=verdict,
        runs=tuple(snapshots.run(one_id, k, value) for k, value in enumerate(metrics, start=1)),
    )
    return dataclasses.replace(experiment, **more)  # type: ignore[arg-type]


def test_the_best_is_first_and_the_champion_is_marked() -> None:
    rows = leaderboard(lab(one(1, 1.95), one(2, 1.80, verdict=Verdict.KEEP), champion="e0002"))
    assert [(row.rank, row.experiment.id, row.champion) for row in rows] == [
        (1, "e0002", True),
        (2, "e0000", False),
        (3, "e0001", False),
    ]


def test_more_is_better_where_the_metric_says_so() -> None:
    rows = leaderboard(lab(one(1, 1.95), direction=Direction.HIGHER))
    assert [row.experiment.id for row in rows] == ["e0001", "e0000"]
    assert rows[0].delta_baseline == pytest.approx(1.95 - 1.9021)


@pytest.mark.parametrize("verdict", [Verdict.CRASH, Verdict.TIMEOUT, Verdict.REJECTED, Verdict.THOUGHT, None])
def test_what_was_not_measured_has_no_rank(verdict: Verdict | None) -> None:
    rows = leaderboard(lab(one(1, 0.0, verdict=verdict)))
    assert [row.experiment.id for row in rows] == ["e0000"]


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_no_figure_no_rank(value: float | None) -> None:
    assert [row.experiment.id for row in leaderboard(lab(one(1, value)))] == ["e0000"]


def test_gains_are_positive_when_better() -> None:
    row = leaderboard(lab(one(1, 1.80)))[0]
    assert row.delta_baseline == pytest.approx(1.9021 - 1.80)
    assert row.delta_incumbent == pytest.approx(1.9021 - 1.80)
    assert leaderboard(lab(one(1, 1.80, gain=0.05)))[0].delta_incumbent == 0.05


def test_the_baseline_has_no_incumbent() -> None:
    row = leaderboard(lab())[0]
    assert row.delta_incumbent is None
    assert row.delta_baseline == pytest.approx(0.0)
    assert not row.inside_noise


def test_inside_the_noise_by_the_interval_or_else_by_the_noise() -> None:
    def inside(experiment: Experiment) -> bool:
        return next(row for row in leaderboard(lab(experiment)) if row.experiment.id == "e0001").inside_noise

    assert inside(one(1, 1.85, gain=0.05, gain_low=-0.01, gain_high=0.11))
    assert not inside(one(1, 1.85, gain=0.05, gain_low=0.01, gain_high=0.09))
    assert inside(one(1, 1.8975))
    assert not inside(one(1, 1.80))


def test_dots_count_runs_and_trust_those_decided_beforehand_most() -> None:
    fresh = [snapshots.run("e0001", k, 1.8, RunKind.FRESH) for k in (3, 4, 5)]
    cases = [
        (one(1, 1.8), 1),
        (one(1, 1.8, 1.81), 2),
        (one(1, 1.8, runs=tuple(fresh[:1])), 2),
        (one(1, 1.8, runs=tuple(fresh)), 3),
    ]
    for experiment, dots in cases:
        assert leaderboard(lab(experiment))[0].dots == dots


def test_settings_are_never_ranked_together() -> None:
    rows = leaderboard(lab(one(1, 0.9, setting_id="000000"), one(2, 1.8)))
    assert [(row.setting_id, row.rank, row.experiment.id) for row in rows] == [
        ("5e771c", 1, "e0002"),
        ("5e771c", 2, "e0000"),
        ("000000", 1, "e0001"),
    ]
    assert rows[-1].delta_baseline is None and rows[-1].delta_incumbent is None


def test_before_the_first_launch() -> None:
    assert leaderboard(snapshots.empty()) == ()


def test_a_row_says_how_sure_its_figure_is() -> None:
    fresh = tuple(snapshots.run("e0001", k, 1.8, RunKind.FRESH) for k in (2, 3, 4, 5))
    runs = (snapshots.run("e0001", 1, 1.7), *fresh)
    many, once = leaderboard(lab(one(1, runs=runs), one(2, 1.85)))[:2]
    assert (many.runs, once.runs) == (4, 1)
    assert once.margin is not None and many.margin == pytest.approx(once.margin / 2)
    # 2.145 is the t quantile of 97.5 % for the 14 degrees of freedom of that noise.
    assert once.margin == pytest.approx(2.145 * 0.0061, rel=1e-3)


def test_the_noise_of_this_setting_says_nothing_of_another() -> None:
    assert leaderboard(lab(one(1, 0.9, setting_id="000000")))[-1].margin is None
    unknown = dataclasses.replace(lab(one(1, 1.8)), noise=None)
    assert leaderboard(unknown)[0].margin is None


def test_a_flagged_row_is_unverified_until_the_holdout_confirms_it() -> None:
    flags = (Flag("embedded-data", "training/train.py", 3),)

    def row(spread: float, *, flags: tuple[Flag, ...] = flags) -> Row:
        base = dataclasses.replace(
            snapshots.baseline(), runs=tuple(on_holdout("e0000", k, 1.9 + k * 0.001, 2.0) for k in (1, 2, 3))
        )
        keep = one(1, verdict=Verdict.KEEP, flags=flags)
        runs = tuple(on_holdout("e0001", k, 1.7 + k * 0.001, 1.8 + spread) for k in (1, 2, 3))
        campaign = lab(dataclasses.replace(keep, runs=runs))
        return leaderboard(dataclasses.replace(campaign, experiments=(base, *campaign.experiments[1:])))[0]

    assert not row(0.0).unverified and row(0.0).flags == 1
    assert row(0.2).unverified
    assert not row(0.2, flags=()).unverified


def on_holdout(one_id: str, ordinal: int, metric: float, holdout: float) -> Run:
    run = snapshots.run(one_id, ordinal, metric, RunKind.VERIFICATION)
    return dataclasses.replace(run, holdout=holdout + ordinal * 0.001)
