"""How an experiment's state and verdict are told: a word and a tone."""

from __future__ import annotations

from supervisor.model.experiment import Experiment
from supervisor.model.states import ExperimentState, RunState, Verdict
from tui.screen.widgets.lines import Span, Tone
from tui.views.figures import trust

_TONES: dict[Verdict, Tone] = {
    Verdict.BASELINE: Tone.ACCENT,
    Verdict.KEEP: Tone.GOOD,
    Verdict.DISCARD: Tone.MUTED,
    Verdict.CRASH: Tone.BAD,
    Verdict.TIMEOUT: Tone.WARN,
    Verdict.REJECTED: Tone.WARN,
    Verdict.THOUGHT: Tone.MUTED,
}


def verdict_span(experiment: Experiment) -> Span:
    """The verdict, or where the experiment stands while it has none."""
    if experiment.verdict is not None:
        return str(experiment.verdict), _TONES[experiment.verdict]
    if any(run.state is RunState.RUNNING for run in experiment.runs):
        return "training", Tone.ACCENT
    match experiment.state:
        case ExperimentState.DRAFTING:
            return "drafting", Tone.MUTED
        case ExperimentState.READY:
            return "queued", Tone.MUTED
        case _:
            return str(experiment.state), Tone.MUTED


def dots_span(dots: int) -> Span:
    """How much a figure rests on: ●●○."""
    return trust(dots), Tone.PLAIN if dots > 1 else Tone.MUTED
