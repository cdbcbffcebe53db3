"""Validation and holdout gain along the lineage of the best keep: a pure function from steps to lines."""

from __future__ import annotations

from supervisor.analysis.overfitting import Lineage
from tui.screen.widgets.lines import Line, Span, Tone, line
from tui.screen.widgets.plot import LABEL_WIDTH, Scale, labelled, put
from tui.views.holdout import holdout_sentence
from tui.views.text import wrap

_LEAST_ROWS, _LEAST_COLUMNS = 3, 10
_VALIDATION_RANK, _HOLDOUT_RANK = 2, 1


def lineage_plot(lineage: Lineage, width: int, height: int) -> list[Line]:
    """At most `height` lines of at most `width` cells: both gains over the steps, and the line that names them.

    With too little room for a plot the sentence alone is there.
    """
    tone = Tone.BAD if lineage.overfits_since else Tone.MUTED
    words = [line(part, tone) for part in wrap(holdout_sentence(lineage), width)]
    rows, columns = height - len(words) - 2, width - LABEL_WIDTH - 2
    if rows < _LEAST_ROWS or columns < _LEAST_COLUMNS:
        return words[:height]
    gains = [gain for step in lineage.steps for gain in (step.validation_gain, step.holdout_gain)]
    top, bottom = max(*gains, 0.0), min(*gains, 0.0)
    scale = Scale(top if top > bottom else bottom + 1.0, bottom, rows, columns, len(lineage.steps))
    cells: dict[tuple[int, int], tuple[Span, int]] = {}
    for number, step in enumerate(lineage.steps):
        column = scale.column(number)
        put(cells, scale.row(step.holdout_gain), column, "◇", Tone.WARN, _HOLDOUT_RANK)
        put(cells, scale.row(step.validation_gain), column, "●", Tone.GOOD, _VALIDATION_RANK)
    axis = line(f"{'':{LABEL_WIDTH}} └" + "─" * columns, Tone.FAINT)
    return [*(labelled(cells, row, scale) for row in range(rows)), axis, _legend(), *words]


def _legend() -> Line:
    return (
        (" " * (LABEL_WIDTH + 2), Tone.PLAIN),
        ("● ", Tone.GOOD),
        ("validation   ", Tone.MUTED),
        ("◇ ", Tone.WARN),
        ("holdout gain", Tone.MUTED),
    )
