"""What a finished trainer process means: facts in, ending and reason out. No I/O."""

from __future__ import annotations

import math
import re
import signal
from dataclasses import dataclass, field, replace

from sessions.runs.channel import PhaseStamp, RefereeEvents
from sessions.runs.contract import RunEnding, RunPhase, RunSpec
from sessions.runs.failure_reason import failure_reason
from sessions.runs.gates import ClosedGate
from sessions.runs.meter_check import find_contradiction
from sessions.runs.metric_formats import number_of
from sessions.runs.near_misses import why_absent
from sessions.runs.printed_metric import Reading

# The words of CUDA, MPS, the CPU allocator, Python, C++ and a data loader whose worker was killed.
_OUT_OF_MEMORY = re.compile(
    r"OutOfMemoryError|out of memory|^MemoryError|can't allocate memory|cannot allocate memory"
    r"|std::bad_alloc|killed by signal: Killed",
    re.IGNORECASE | re.MULTILINE,
)
_LONGEST_SMOKE_S = 60.0
_PHASE_WORDS = {
    RunPhase.STARTING: "while starting",
    RunPhase.WARM_UP: "during warm-up",
    RunPhase.TRAINING: "while training",
    RunPhase.EVALUATING: "while evaluating",
}
_NEVER_STARTED = PhaseStamp(RunPhase.EVALUATING, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One trainer process, from its start to its end, as the runner saw it."""

    events: RefereeEvents
    exit_code: int | None  # negative: the signal that ended it; None: it was never started
    tail: str  # the end of its output
    timed_out: bool = False
    told_to_end: bool = False
    killed_for_memory: bool = False  # by the kernel
    start_problem: str = ""  # why it was never started
    end: PhaseStamp = _NEVER_STARTED  # when nothing of it was left
    printed: tuple[str, ...] = ()  # the different values of its metric lines, beside a referee
    reading: Reading = field(default_factory=Reading)  # what its output says of its metrics, without one
    closed_gate: ClosedGate | None = None  # what it printed of itself that makes its score not count
    left_over: int = 0  # processes that outlived it


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How an attempt ended."""

    ending: RunEnding
    reason: str  # "" when measured
    metric: float | None = None


def smoke_timeout_s(spec: RunSpec) -> float:
    """How long the smoke run may take, wall clock."""
    return min(spec.timeout_s / 2, _LONGEST_SMOKE_S)


def judge(attempt: Attempt, spec: RunSpec, smoke: bool) -> AttemptResult:
    """How the attempt ended; of a smoke run only whether it works, its value is ignored."""
    events = attempt.events
    if attempt.told_to_end:
        return AttemptResult(RunEnding.ENDED, "the runner was told to stop")
    if attempt.start_problem:
        return AttemptResult(RunEnding.CRASHED, attempt.start_problem)
    if events.rejected is not None:
        return AttemptResult(RunEnding.REJECTED, _without_holdout(events, events.rejected))
    if attempt.timed_out:
        limit_s = smoke_timeout_s(spec) if smoke else spec.timeout_s
        if smoke and not spec.has_referee:
            return AttemptResult(RunEnding.TIMED_OUT, f"no end after {limit_s:g} s")
        return AttemptResult(
            RunEnding.TIMED_OUT, f"no result after {limit_s:g} s, {_PHASE_WORDS[events.phase]}"
        )
    if events.crashed is not None or attempt.exit_code != 0:
        # A benchmark that finds its results wrong may exit with 1 as well: they are what is the matter.
        gate = attempt.closed_gate if not smoke else None
        says_wrong = gate is not None and not gate.missing and (attempt.exit_code or 0) > 0
        return AttemptResult(RunEnding.REJECTED, gate.reason) if gate and says_wrong else _failure(attempt)
    result = _result(attempt, spec, smoke)
    if result.ending is RunEnding.MEASURED and spec.has_referee and not smoke:
        lie = find_contradiction(attempt.events, attempt.end, attempt.printed, spec)
        why = lie or (attempt.closed_gate.reason if attempt.closed_gate else "")
        return AttemptResult(RunEnding.REJECTED, why) if why else result
    return result


def _without_holdout(events: RefereeEvents, reason: str) -> str:
    # Whoever has seen the sealed text could tell of it in its last words.
    if events.holdout is None:
        return reason
    probe = re.match(r"[a-z]{1,20}(?=:)", reason)
    return f"{probe[0] if probe else 'refused'}: on the sealed holdout"


def _failure(attempt: Attempt) -> AttemptResult:
    words = attempt.events.crashed or failure_reason(_without_shells_word(attempt))
    if attempt.events.holdout is not None:
        words = "it failed on the sealed holdout"
    if attempt.killed_for_memory:
        return AttemptResult(RunEnding.OUT_OF_MEMORY, "the system killed it: out of memory")
    if _OUT_OF_MEMORY.search(words):
        return AttemptResult(RunEnding.OUT_OF_MEMORY, words)
    if attempt.exit_code is not None and attempt.exit_code < 0:
        name = _signal_name(-attempt.exit_code)
        return AttemptResult(
            RunEnding.CRASHED, f"killed by {name}" + (f"; it last said: {words}" if words else "")
        )
    return AttemptResult(RunEnding.CRASHED, words or f"exit code {attempt.exit_code}, and it printed nothing")


def _result(attempt: Attempt, spec: RunSpec, smoke: bool) -> AttemptResult:
    if not spec.has_referee:
        return AttemptResult(RunEnding.MEASURED, "") if smoke else _printed_result(attempt, spec)
    reports = attempt.events.reports
    if not reports:
        words = failure_reason(attempt.tail)
        return AttemptResult(
            RunEnding.CRASHED, "it ended without a result" + (f"; it last said: {words}" if words else "")
        )
    if len(reports) > 1:
        return AttemptResult(RunEnding.CRASHED, "it reported two results that differ")
    if smoke:
        return AttemptResult(RunEnding.MEASURED, "")
    report = reports[0]
    expected = {"metric": spec.metric, "seed": spec.seed, "budget_s": spec.budget_s, "clock": spec.clock}
    for name, value in expected.items():
        if report.get(name, value) != value:
            return AttemptResult(
                RunEnding.CRASHED, f"it reported {name} {report[name]!r} where {value!r} was asked for"
            )
    if attempt.events.stamp(RunPhase.TRAINING) is None:
        return AttemptResult(RunEnding.CRASHED, "it reported a result without having trained")
    return _checked(number_of(report.get("value")), spec)


def _printed_result(attempt: Attempt, spec: RunSpec) -> AttemptResult:
    asked = any(gate.name == "pass" for gate in spec.gates)
    if attempt.closed_gate:  # before the figure: a benchmark that finds its results wrong often prints none
        return AttemptResult(RunEnding.REJECTED, attempt.closed_gate.reason)
    if attempt.reading.refused and not asked:
        return AttemptResult(RunEnding.REJECTED, 'its report says "pass": false')
    if attempt.reading.problem:
        return AttemptResult(RunEnding.CRASHED, attempt.reading.problem)
    result = _checked(attempt.reading.value, spec)
    absent = attempt.reading.value is None
    return replace(result, reason=result.reason + why_absent(attempt.tail, spec.metric)) if absent else result


def _checked(value: float | None, spec: RunSpec) -> AttemptResult:
    if value is None:
        return AttemptResult(RunEnding.CRASHED, f"it ended without a {spec.metric}")
    if not math.isfinite(value):
        return AttemptResult(RunEnding.CRASHED, f"{spec.metric} is {value}")
    return AttemptResult(RunEnding.MEASURED, "", value)


def _without_shells_word(attempt: Attempt) -> str:
    """The output without the line in which the shell of a sandbox says how its child died."""
    killed_by = -attempt.exit_code if attempt.exit_code is not None and attempt.exit_code < 0 else 0
    word = signal.strsignal(killed_by) if killed_by else None
    return re.sub(rf"\n?{re.escape(word)}[^\n]*\n?\Z", "", attempt.tail) if word else attempt.tail


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
