"""The referee's story held against what the runner saw from outside. Pure.

The referee shares a process with the code under test, so its word is checked wherever a meter can. What cannot
be true rejects a run; what is only strange is a suspicion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sessions.runs.channel import PhaseStamp, RefereeEvents, TimeSpent
from sessions.runs.contract import RunPhase, RunSpec, Suspicion
from sessions.runs.metric_formats import number_of
from sessions.runs.printed_metric import Reading, is_rounded

# The referee lets a last step end: at most a tenth of the budget. The second is for a runner that the machine
# wakes late.
_TOLERANCE, _TOLERANCE_S = 0.1, 1.0
# Honest starts took 2.5 to 3.3 s of CPU time beside three busy neighbours; one more big import takes 1 to 3 s.
_USUAL, _USUAL_S = 2.0, 5.0
_COLD_START_S = 30.0  # of wall time more: torch's libraries from a cold disk


def find_contradiction(events: RefereeEvents, end: PhaseStamp, printed: Sequence[str], spec: RunSpec) -> str:
    """Why the one report of a run cannot be true, or ""."""
    return next(_contradictions(events, end, printed, spec), "")


def find_suspicions(
    events: RefereeEvents, end: PhaseStamp, reading: Reading, left_over: int, spec: RunSpec
) -> tuple[Suspicion, ...]:
    """What looks like gaming, seen from outside."""
    return tuple(_suspicions(events, end, reading, left_over, spec))


def time_starting(events: RefereeEvents, end: PhaseStamp) -> TimeSpent:
    """What the run took before its first batch, warm-up left out."""
    return events.time_in(RunPhase.STARTING, end)


def time_evaluating(events: RefereeEvents, end: PhaseStamp) -> TimeSpent:
    """What the run took after its last batch, up to the holdout if it was asked for, else to its report."""
    # Not to its end: torch takes a second to go, and nothing counts any more.
    return events.time_in(RunPhase.EVALUATING, events.holdout or events.reported or end)


def _contradictions(
    events: RefereeEvents, end: PhaseStamp, printed: Sequence[str], spec: RunSpec
) -> Iterator[str]:
    report, counts = events.reports[0], events.counts
    trained_s = events.time_in(RunPhase.TRAINING, end).on(spec.clock)
    if trained_s > spec.budget_s * (1 + _TOLERANCE) + _TOLERANCE_S:
        yield f"clock: it trained for {trained_s:.1f} s on a budget of {spec.budget_s:g} s"
    yield from _clock_lies(events, end, trained_s, spec)
    for name in ("steps", "tokens", "training_s"):
        if report.get(name) != counts.get(name):
            yield f"report: {name} {report.get(name)!r} where it was {counts.get(name)!r} when training ended"
    last = events.progress
    counted_steps = number_of(counts.get("steps"))
    if events.steps_fell or (last and counted_steps is not None and counted_steps < last.step):
        yield "report: the count of steps fell while it trained"
    expected = spec.expected
    for name, value in (
        ("evaluated_bytes", expected.evaluated_bytes),
        ("data_fingerprint", expected.data_fingerprint),
    ):
        if value is not None and report.get(name) != value:
            yield f"report: {name} {report.get(name)!r} where {value!r} was due"
    reported = number_of(report.get("value"))
    for text in printed:
        if reported is not None and not is_rounded(text, reported):
            yield f"printed {spec.metric} {text[:40]} is not the reported {reported:.6f}"


def _clock_lies(events: RefereeEvents, end: PhaseStamp, trained_s: float, spec: RunSpec) -> Iterator[str]:
    reported_s = number_of(events.reports[0].get("training_s"))
    if reported_s is None:
        return
    # A warm-up that takes too long is charged to the budget, so the referee may say more than it trained.
    charged_s = events.time_in(RunPhase.WARM_UP, end).on(spec.clock)
    slack_s = _TOLERANCE * trained_s + _TOLERANCE_S
    if not trained_s - slack_s <= reported_s <= trained_s + charged_s + slack_s:
        yield f"clock: it reported {reported_s:.1f} s of training where the meter says {trained_s:.1f} s"


def _suspicions(
    events: RefereeEvents, end: PhaseStamp, reading: Reading, left_over: int, spec: RunSpec
) -> Iterator[Suspicion]:
    expected = spec.expected
    if spec.has_referee and events.stamp(RunPhase.TRAINING):
        before, after = time_starting(events, end), time_evaluating(events, end)
        yield from _too_much("compute-before-the-clock", before, expected.starting_cpu_s, spec)
        yield from _too_much("compute-after-the-clock", after, expected.evaluating_cpu_s, spec)
        if events.holdout is not None:
            opened = events.holdout
            closed = events.reported or end
            late = TimeSpent(closed.wall_s - opened.wall_s, closed.cpu_s - opened.cpu_s)
            yield from _too_much("compute-after-the-clock", late, expected.evaluating_cpu_s, spec)
    if left_over:
        yield Suspicion("processes-left", f"{left_over} of its processes outlived it")
    # That a lab prints its metric as it goes is no sign of anything; that two reports of it differ is.
    if not spec.has_referee and reading.others:
        values = ", ".join(f"{value:g} ({dialect})" for dialect, value in reading.others)
        yield Suspicion(
            "several-metric-lines",
            f"{spec.metric} {reading.value:g} ({reading.dialect}) counts; it also printed {values}",
        )


def _too_much(rule: str, spent: TimeSpent, usual_s: float | None, spec: RunSpec) -> Iterator[Suspicion]:
    if usual_s is None:
        return
    limit_s = _USUAL * usual_s + _USUAL_S
    if spent.cpu_s > limit_s:
        yield Suspicion(rule, f"{spent.cpu_s:.1f} s of CPU time, where the baseline takes {usual_s:.1f} s")
    elif spec.clock == "wall" and spent.wall_s > limit_s + _COLD_START_S:
        yield Suspicion(rule, f"{spent.wall_s:.1f} s, where the baseline takes {usual_s:.1f} s of CPU time")
