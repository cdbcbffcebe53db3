"""The plot: as large as asked for, the frontier falls where the keeps are, nothing bad flattens it."""

import dataclasses

import pytest

from supervisor.analysis.overfitting import Lineage, LineagePoint
from supervisor.model.states import Direction, Verdict
from tests.tui.screen import snapshots
from tui.screen.panels.plot import Point, lineage_plot, plot
from tui.screen.panels.progress import beside, progress_points
from tui.screen.widgets.lines import line, width_of


def drawn(points: list[Point], width: int = 60, height: int = 14, sd: float | None = 0.01) -> list[str]:
    return ["".join(text for text, _ in line) for line in plot(points, Direction.LOWER, sd, width, height)]


@pytest.mark.parametrize("size", [(30, 6), (78, 11), (200, 40)], ids=str)
def test_it_is_as_large_as_asked_for(size: tuple[int, int]) -> None:
    lines = plot(progress_points(snapshots.mid()), Direction.LOWER, 0.006, *size)
    assert len(lines) == size[1]
    assert max(width_of(line) for line in lines[:-1]) <= size[0]


def test_a_keep_lowers_the_frontier() -> None:
    lines = drawn(
        [Point(Verdict.BASELINE, 2.0, 2.0), Point(Verdict.DISCARD, 2.1, 2.0), Point(Verdict.KEEP, 1.5, 1.5)]
    )
    high = next(number for number, line in enumerate(lines) if "◆" in line)
    low = next(number for number, line in enumerate(lines) if "●" in line)
    assert high < low
    assert "╮" in lines[high]


def test_a_higher_metric_rises() -> None:
    points = [Point(Verdict.BASELINE, 0.5, 0.5), Point(Verdict.KEEP, 0.9, 0.9)]
    lines = ["".join(text for text, _ in line) for line in plot(points, Direction.HIGHER, 0.01, 60, 14)]
    rows = {mark: next(n for n, line in enumerate(lines) if mark in line) for mark in "◆●"}
    assert rows["●"] < rows["◆"]


def test_a_terrible_discard_stays_on_the_edge() -> None:
    calm = [Point(Verdict.BASELINE, 2.0, 2.0), Point(Verdict.KEEP, 1.5, 1.5)]
    wild = [*calm, Point(Verdict.DISCARD, 90.0, 1.5)]
    assert [line[:7] for line in drawn(calm)[:-2]] == [line[:7] for line in drawn(wild)[:-2]]
    assert "∘" in drawn(wild)[0]


def test_the_noise_shows_when_it_is_large_enough_to_see() -> None:
    points = [Point(Verdict.BASELINE, 2.0, 2.0), Point(Verdict.DISCARD, 2.01, 2.0)]
    assert any("░" in line for line in drawn(points)[:-1])
    assert not any("░" in line for line in drawn(points, sd=None)[:-1])


def test_nothing_to_draw() -> None:
    assert drawn([]) == []
    assert drawn([Point(Verdict.CRASH, None, None)]) == []


def test_no_lab_no_points() -> None:
    assert progress_points(snapshots.empty()) == []


def test_what_failed_is_on_the_bad_edge() -> None:
    points = [Point(Verdict.BASELINE, 2.0, 2.0), Point(Verdict.CRASH, None, 2.0)]
    assert "✕" in drawn(points)[0]
    higher = ["".join(text for text, _ in line) for line in plot(points, Direction.HIGHER, 0.01, 60, 14)]
    assert "✕" in higher[-3]


def on_both(*gains: tuple[float, float], since: str | None = None) -> Lineage:
    steps = [
        LineagePoint(dataclasses.replace(snapshots.baseline(), id=f"e{n:04d}"), *pair, None)
        for n, pair in enumerate(gains)
    ]
    return Lineage(tuple(steps), since)


def test_a_gain_that_is_not_on_the_holdout_shows_below_the_other() -> None:
    lines = lineage_plot(on_both((0.0, 0.0), (0.1, 0.09), (0.3, 0.1), since="e0002"), 50, 16)
    texts = ["".join(text for text, _ in line) for line in lines]
    rows = {mark: [n for n, text in enumerate(texts[:-5]) if mark in text] for mark in "●◇"}
    assert min(rows["●"]) == 0 and min(rows["◇"]) > 4
    assert "overfitting to validation since e0002" in " ".join(texts)
    assert max(width_of(line) for line in lines) <= 50 and len(lines) <= 16


@pytest.mark.parametrize("size", [(30, 2), (12, 8), (80, 3), (200, 40)], ids=str)
def test_the_lineage_fits_where_it_is_put(size: tuple[int, int]) -> None:
    lines = lineage_plot(on_both((0.0, 0.0), (-0.1, 0.0)), *size)
    assert len(lines) <= size[1] and max(width_of(line) for line in lines) <= max(size[0], 36)


def test_two_texts_side_by_side_never_overlap() -> None:
    left, right = [line("x" * 30), line("y")], [line("a"), line("b"), line("c")]
    joined = ["".join(text for text, _ in each) for each in beside(left, right, 12)]
    assert joined == ["x" * 10 + "… a", "y" + " " * 11 + "b", " " * 12 + "c"]
