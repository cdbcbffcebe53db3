"""What a brief says of the past: experiments near an idea, verdicts on a branch, notes that bear on it. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from roles.backend import Tried
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import Note
from supervisor.text import figure, one_line, signed_figure

DIFF_LINES, DIFF_CHARS = 24, 1_600  # of a diff in a list of experiments
_MOST_BESIDE = 6  # secondary metrics of one experiment
READ_CHARS = 20_000  # of a diff or a note that are looked at for names
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")
_PLACE = re.compile(r"^@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@")


def names_in(text: str) -> frozenset[str]:
    """The words that could be names of code."""
    return frozenset(_NAME.findall(text[:READ_CHARS]))


def changed_lines(diff: str) -> tuple[str, ...]:
    """The lines that a diff adds or takes away, with their sign."""
    lines = diff[:READ_CHARS].splitlines()
    return tuple(line for line in lines if line[:1] in "+-" and not line.startswith(("+++", "---")))


def nearest(tried: Sequence[Tried], names: frozenset[str], *, most: int = 60) -> tuple[Tried, ...]:
    """Decided experiments that share changed names with an idea, rare names counting most; the best first.

    Without names, those that moved the metric most.
    """
    decided = [each for each in tried if each.experiment.verdict is not None]
    if not names:
        return tuple(sorted(decided, key=_effect, reverse=True)[:most])
    changed_names = [names_in("\n".join((*changed_lines(t.diff), t.experiment.title))) for t in decided]
    frequency = Counter(name for each in changed_names for name in each & names)
    scored = []
    for at, (each, its) in enumerate(zip(decided, changed_names, strict=True)):
        score = sum(math.log1p(len(decided) / frequency[name]) for name in sorted(its & names))
        if score > 0:
            scored.append((-score, -at, each))
    return tuple(each for _, _, each in sorted(scored, key=lambda s: s[:2])[:most])


def bearing(
    notes: Sequence[tuple[Note, str]], names: frozenset[str], *, most: int = 40
) -> tuple[tuple[Note, str], ...]:
    """The notes that share names with an idea, most first; the others after them, newest first."""
    shared = [(-len(names & names_in(f"{note.title}\n{body}")), at) for at, (note, body) in enumerate(notes)]
    return tuple(notes[at] for _, at in sorted(shared)[:most])


def experiment_entry(each: Tried, *, diff: bool) -> str:
    """One experiment as an entry of a list: what, how it ended, and its change."""
    head = experiment_line(each.experiment)
    parts = [head]
    if each.experiment.reason:
        parts.append(f"  why: {one_line(each.experiment.reason)[:300]}")
    if each.experiment.reflection not in ("", "-"):
        parts.append(f"  learned: {one_line(each.experiment.reflection)[:300]}")
    if diff and each.diff:
        parts.append(short_diff(each.diff))
    return "\n".join(parts)


def experiment_line(experiment: Experiment) -> str:
    """An experiment on one line."""
    ended = experiment.verdict.value if experiment.verdict else "under way"
    figures = []
    if experiment.metric is not None:
        figures.append(f"metric {figure(experiment.metric)}")
    if experiment.gain is not None:
        figures.append(f"gain {signed_figure(experiment.gain)}")
    figures += [
        f"{one_line(name)} {figure(value)}" for name, value in list(experiment.also.items())[:_MOST_BESIDE]
    ]
    if experiment.gain_low is not None and experiment.gain_high is not None:
        figures.append(
            f"interval {signed_figure(experiment.gain_low)} to {signed_figure(experiment.gain_high)}"
        )
    runs = len(experiment.deciding_runs)
    if runs:
        figures.append(f"{runs} run{'s' if runs > 1 else ''}")
    on = f" on {experiment.parent_id}" if experiment.parent_id else ""
    measured = f" ({', '.join(figures)})" if figures else ""
    return f"{experiment.id}{on}: {ended}{measured}: {one_line(experiment.title)[:160]}"


def short_diff(diff: str, lines: int = DIFF_LINES, chars: int = DIFF_CHARS) -> str:
    """The changed lines of a diff and where they stand."""
    body = [
        _PLACE.sub("@@", line)
        for line in diff[:READ_CHARS].splitlines()
        if line[:1] in "+-@" and not line.startswith(("+++", "---"))
    ]
    kept: list[str] = []
    for line in body[:lines]:
        chars -= len(line[:200]) + 5
        if chars < 0:
            break
        kept.append(f"    {line[:200]}")
    left_out = len(body) - len(kept)
    return "\n".join([*kept, f"    … {left_out} more lines left out"] if left_out else kept)


def _effect(each: Tried) -> tuple[float, str]:
    return abs(each.experiment.gain or 0.0), each.experiment.id
