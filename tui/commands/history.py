"""`leaderboard --tsv FILE`: another harness's history, in its own order, with what it is worth."""

from __future__ import annotations

from pathlib import Path

from supervisor.history.ranked import History, RankedLine, read_history
from supervisor.model.states import Direction
from supervisor.text import figure
from tui.views.figures import change, metric
from tui.views.printing import Column, print_json, print_table, say

_COLUMNS = (
    Column("#", right=True),
    Column("metric", right=True, style="bold"),
    Column("gain", right=True),
    Column("verdict", spare=1),
    Column("commit", style="cyan", spare=2),
    Column("GB", right=True, spare=3),
    Column("idea", wide=True),
)


def show_history(
    path: Path, noise_sd: float | None, direction: Direction | None, first: int | None, as_json: bool
) -> None:
    """Print the history in this file. Raises HistoryError."""
    history = read_history(path.read_bytes(), noise_sd, direction)
    if as_json:
        print_json(_view(history))
        return
    print_table(_COLUMNS, [_cells(line) for line in _first_lines(history, first)], "")
    for text in _summary(history):
        say(text)


def _first_lines(history: History, first: int | None) -> list[RankedLine]:
    return [line for line in history.lines if first is None or (line.rank is not None and line.rank <= first)]


def _summary(history: History) -> list[str]:
    texts = [
        f"{len(history.keeps)} keeps claim {change(history.claimed_gain)} {history.metric_name} together, "
        f"{history.direction.value} is better"
    ]
    if history.noise_sd is None:
        texts.append("noise unknown: no seed swap in the file, state one with --noise SD; nothing is marked")
    else:
        inside = sum(line.inside_noise for line in history.lines)
        origin = "as stated" if history.noise_stated else "from the file's own seed swap"
        texts.append(
            f"≈ {inside} of them inside the noise: a gain up to 2·√2·SD, SD {figure(history.noise_sd)} a run ({origin})"
        )
    if history.skipped:
        texts.append(f"skipped {history.skipped} lines that are no experiment")
    return texts


def _cells(line: RankedLine) -> tuple[str, ...]:
    return (
        "–" if line.rank is None else str(line.rank),
        metric(line.metric),
        change(line.gain) + (" ≈" if line.inside_noise else ""),
        line.status,
        line.commit[:8],
        "–" if line.memory_gb is None else f"{line.memory_gb:.1f}",
        line.description,
    )


def _view(history: History) -> dict[str, object]:
    return {
        "metric": history.metric_name,
        "direction": history.direction.value,
        "noise_sd": history.noise_sd,
        "noise_stated": history.noise_stated,
        "keeps": len(history.keeps),
        "keeps_inside_noise": sum(line.inside_noise for line in history.lines),
        "claimed_gain": history.claimed_gain,
        "skipped_lines": history.skipped,
        "rows": [
            {
                "line": line.number,
                "rank": line.rank,
                "commit": line.commit,
                "metric": line.metric,
                "memory_gb": line.memory_gb,
                "status": line.status,
                "description": line.description,
                "gain": line.gain,
                "inside_noise": line.inside_noise,
            }
            for line in history.lines
        ],
    }
