"""The metric over experiments, and gains along a lineage, drawn with characters: pure functions to lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from supervisor.analysis.overfitting import Lineage
from supervisor.model.states import Direction, Verdict
from tui.screen.widgets.lines import Line, Span, Tone, line
from tui.views.experiment import holdout_sentence
from tui.views.figures import metric
from tui.views.text import wrap

_LABEL_WIDTH = 7
_MARKS: dict[Verdict, tuple[str, Tone, int]] = {  # glyph, tone, and who wins a shared cell
    Verdict.BASELINE: ("◆", Tone.ACCENT, 4),
    Verdict.KEEP: ("●", Tone.GOOD, 5),
    Verdict.DISCARD: ("∘", Tone.MUTED, 2),
    Verdict.CRASH: ("✕", Tone.BAD, 3),
    Verdict.TIMEOUT: ("✕", Tone.WARN, 3),
    Verdict.REJECTED: ("✕", Tone.WARN, 3),
    Verdict.THOUGHT: ("·", Tone.FAINT, 1),
}
_FRONTIER_RANK, _BAND_RANK = 1, 0
_LEAST_ROWS, _LEAST_COLUMNS = 3, 10
_VALIDATION_RANK, _HOLDOUT_RANK = 2, 1


@dataclass(frozen=True, slots=True)
class Point:
    """One decided experiment, in the order of the decisions."""

    verdict: Verdict
    value: float | None  # None: no metric; shown on the edge
    frontier: float | None  # the best kept value after it


@dataclass(frozen=True, slots=True)
class Scale:
    """Where values and experiments are in a field of characters."""

    top: float  # the value of the first row
    bottom: float
    rows: int
    columns: int
    points: int

    def row(self, value: float) -> int:
        share = (self.top - value) / (self.top - self.bottom)
        return min(max(round(share * (self.rows - 1)), 0), self.rows - 1)

    def column(self, number: int) -> int:
        return min(int((number + 0.5) / self.points * self.columns), self.columns - 1)


def plot(
    points: Sequence[Point], direction: Direction, noise_sd: float | None, width: int, height: int
) -> list[Line]:
    """`height` lines of at most `width` cells: dots, the frontier as a step line, the noise, a scale.

    Values far worse than the baseline are drawn on the edge, so that one of them does not flatten the rest.
    """
    rows, columns = height - 2, width - _LABEL_WIDTH - 2
    scale = _scale(points, direction, noise_sd, rows, columns)
    if scale is None or rows < 3 or columns < 10:
        return []
    cells: dict[tuple[int, int], tuple[Span, int]] = {}
    _draw_band(cells, points, noise_sd, scale)
    _draw_frontier(cells, points, scale)
    for number, point in enumerate(points):
        glyph, tone, rank = _MARKS[point.verdict]
        edge = 0 if direction is Direction.LOWER else rows - 1
        row = scale.row(point.value) if point.value is not None else edge
        _put(cells, row, scale.column(number), glyph, tone, rank)
    lines = [_row_with_label(cells, row, scale) for row in range(rows)]
    return [*lines, *_foot(points, columns)]


def _scale(
    points: Sequence[Point], direction: Direction, noise_sd: float | None, rows: int, columns: int
) -> Scale | None:
    frontier = [point.frontier for point in points if point.frontier is not None]
    if not frontier:
        return None
    reach = max(max(frontier) - min(frontier), 6 * (noise_sd or 0.0), abs(frontier[0]) * 1e-3)
    best, start = frontier[-1], frontier[0]
    worse = start - direction.sign * 0.35 * reach
    better = best + direction.sign * 0.15 * reach
    return Scale(max(worse, better), min(worse, better), rows, columns, len(points))


def _put(
    cells: dict[tuple[int, int], tuple[Span, int]], row: int, column: int, glyph: str, tone: Tone, rank: int
) -> None:
    if rank >= cells.get((row, column), (("", tone), -1))[1]:
        cells[row, column] = ((glyph, tone), rank)


def _draw_frontier(
    cells: dict[tuple[int, int], tuple[Span, int]], points: Sequence[Point], scale: Scale
) -> None:
    last: int | None = None
    value: float | None = None
    at = {scale.column(number): point.frontier for number, point in enumerate(points)}
    for column in range(scale.columns):
        value = at.get(column) if at.get(column) is not None else value
        if value is None:
            continue
        row = scale.row(value)
        if last is None or row == last:
            _put(cells, row, column, "─", Tone.GOOD, _FRONTIER_RANK)
        else:
            down = row > last
            _put(cells, last, column, "╮" if down else "╯", Tone.GOOD, _FRONTIER_RANK)
            for between in range(min(row, last) + 1, max(row, last)):
                _put(cells, between, column, "│", Tone.GOOD, _FRONTIER_RANK)
            _put(cells, row, column, "╰" if down else "╭", Tone.GOOD, _FRONTIER_RANK)
        last = row


def _draw_band(
    cells: dict[tuple[int, int], tuple[Span, int]],
    points: Sequence[Point],
    noise_sd: float | None,
    scale: Scale,
) -> None:
    incumbent = points[-1].frontier
    if incumbent is None or not noise_sd:
        return
    begin = next(number for number, point in enumerate(points) if point.frontier == incumbent)
    for row in range(scale.row(incumbent + 2 * noise_sd), scale.row(incumbent - 2 * noise_sd) + 1):
        for column in range(scale.column(begin), scale.columns):
            _put(cells, row, column, "░", Tone.FAINT, _BAND_RANK)


def _row_with_label(cells: dict[tuple[int, int], tuple[Span, int]], row: int, scale: Scale) -> Line:
    ticks = {round(share * (scale.rows - 1)) for share in (0, 0.5, 1)}
    value = scale.top - (scale.top - scale.bottom) * row / (scale.rows - 1)
    label = f"{metric(value):>{_LABEL_WIDTH}} ┤" if row in ticks else f"{'':{_LABEL_WIDTH}} │"
    blank: Span = (" ", Tone.PLAIN)
    spans: list[Span] = [(label, Tone.FAINT if row not in ticks else Tone.MUTED)]
    spans += [cells[row, column][0] if (row, column) in cells else blank for column in range(scale.columns)]
    return tuple(spans)


def _foot(points: Sequence[Point], columns: int) -> list[Line]:
    counts = {verdict: sum(point.verdict is verdict for point in points) for verdict in Verdict}
    crashed = counts[Verdict.CRASH] + counts[Verdict.TIMEOUT] + counts[Verdict.REJECTED]
    axis = f"{'':{_LABEL_WIDTH}} └" + "─" * columns
    legend: Line = (
        (" " * (_LABEL_WIDTH + 2), Tone.PLAIN),
        ("● ", Tone.GOOD),
        (f"{counts[Verdict.KEEP]} kept   ", Tone.MUTED),
        ("∘ ", Tone.MUTED),
        (f"{counts[Verdict.DISCARD]} discarded   ", Tone.MUTED),
        ("✕ ", Tone.BAD),
        (f"{crashed} failed   ", Tone.MUTED),
        ("─ ", Tone.GOOD),
        ("best kept   ", Tone.MUTED),
        ("░ ", Tone.FAINT),
        ("±2σ", Tone.MUTED),
    )
    return [((axis, Tone.FAINT),), legend]


def lineage_plot(lineage: Lineage, width: int, height: int) -> list[Line]:
    """At most `height` lines of at most `width` cells: both gains over the steps, and the line that names them.

    With too little room for a plot the sentence alone is there.
    """
    tone = Tone.BAD if lineage.overfits_since else Tone.MUTED
    words = [line(part, tone) for part in wrap(holdout_sentence(lineage), width)]
    rows, columns = height - len(words) - 2, width - _LABEL_WIDTH - 2
    if rows < _LEAST_ROWS or columns < _LEAST_COLUMNS:
        return words[:height]
    gains = [gain for step in lineage.steps for gain in (step.validation_gain, step.holdout_gain)]
    top, bottom = max(*gains, 0.0), min(*gains, 0.0)
    scale = Scale(top if top > bottom else bottom + 1.0, bottom, rows, columns, len(lineage.steps))
    cells: dict[tuple[int, int], tuple[Span, int]] = {}
    for number, step in enumerate(lineage.steps):
        column = scale.column(number)
        _put(cells, scale.row(step.holdout_gain), column, "◇", Tone.WARN, _HOLDOUT_RANK)
        _put(cells, scale.row(step.validation_gain), column, "●", Tone.GOOD, _VALIDATION_RANK)
    axis = line(f"{'':{_LABEL_WIDTH}} └" + "─" * columns, Tone.FAINT)
    return [*(_row_with_label(cells, row, scale) for row in range(rows)), axis, _lineage_legend(), *words]


def _lineage_legend() -> Line:
    return (
        (" " * (_LABEL_WIDTH + 2), Tone.PLAIN),
        ("● ", Tone.GOOD),
        ("validation   ", Tone.MUTED),
        ("◇ ", Tone.WARN),
        ("holdout gain", Tone.MUTED),
    )
