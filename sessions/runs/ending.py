"""What a finished trainer process means: facts in, ending and reason out. No I/O."""

from __future__ import annotations

import math
import re
import signal
from dataclasses import dataclass, field

from sessions.runs.channel import Heard, PhaseStamp
from sessions.runs.contract import RunEnding, RunPhase, RunSpec
from sessions.runs.log import failure_reason
from sessions.runs.meter_check import find_contradiction
from sessions.runs.metric_formats import number_of
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

    heard: Heard
    exit_code: int | None  # negative: the signal that ended it; None: it was never started
    tail: str  # the end of its output
    timed_out: bool = False
    told_to_end: bool = False
    killed_for_memory: bool = False  # by the kernel
    start_problem: str = ""  # why it was never started
    ended: PhaseStamp = _NEVER_STARTED  # when nothing of it was left
    printed: tuple[str, ...] = ()  # the different values of its metric lines, beside a referee
    reading: Reading = field(default_factory=Reading)  # what its output says of its metrics, without one
    left_over: int = 0  # processes that outlived it


@dataclass(frozen=True, slots=True)
class Finding:
    """How an attempt ended."""

    ending: RunEnding
    reason: str  # "" when measured
    metric: float | None = None


def smoke_timeout_s(spec: RunSpec) -> float:
    """How long the smoke run may take, wall clock."""
    return min(spec.timeout_s / 2, _LONGEST_SMOKE_S)


def judge(attempt: Attempt, spec: RunSpec, smoke: bool) -> Finding:
    """How the attempt ended; of a smoke run only whether it works, its value is ignored."""
    heard = attempt.heard
    if attempt.told_to_end:
        return Finding(RunEnding.ENDED, "the runner was told to stop")
    if attempt.start_problem:
        return Finding(RunEnding.CRASHED, attempt.start_problem)
    if heard.rejected is not None:
        return Finding(RunEnding.REJECTED, _without_holdout(heard, heard.rejected))
    if attempt.timed_out:
        limit_s = smoke_timeout_s(spec) if smoke else spec.timeout_s
        if smoke and not spec.has_referee:
            return Finding(RunEnding.TIMED_OUT, f"no end after {limit_s:g} s")
        return Finding(RunEnding.TIMED_OUT, f"no result after {limit_s:g} s, {_PHASE_WORDS[heard.phase]}")
    if heard.crashed is not None or attempt.exit_code != 0:
        return _failure(attempt)
    finding = _result(attempt, spec, smoke)
    if finding.ending is RunEnding.MEASURED and spec.has_referee and not smoke:
        lie = find_contradiction(attempt.heard, attempt.ended, attempt.printed, spec)
        return Finding(RunEnding.REJECTED, lie) if lie else finding
    return finding


def _without_holdout(heard: Heard, reason: str) -> str:
    # Whoever has seen the sealed text could tell of it in its last words.
    if heard.holdout is None:
        return reason
    probe = re.match(r"[a-z]{1,20}(?=:)", reason)
    return f"{probe[0] if probe else 'refused'}: on the sealed holdout"


def _failure(attempt: Attempt) -> Finding:
    said = attempt.heard.crashed or failure_reason(_without_shells_word(attempt))
    if attempt.heard.holdout is not None:
        said = "it failed on the sealed holdout"
    if attempt.killed_for_memory:
        return Finding(RunEnding.OUT_OF_MEMORY, "the system killed it: out of memory")
    if _OUT_OF_MEMORY.search(said):
        return Finding(RunEnding.OUT_OF_MEMORY, said)
    if attempt.exit_code is not None and attempt.exit_code < 0:
        name = _signal_name(-attempt.exit_code)
        return Finding(RunEnding.CRASHED, f"killed by {name}" + (f"; it last said: {said}" if said else ""))
    return Finding(RunEnding.CRASHED, said or f"exit code {attempt.exit_code}, and it printed nothing")


def _result(attempt: Attempt, spec: RunSpec, smoke: bool) -> Finding:
    if not spec.has_referee:
        return Finding(RunEnding.MEASURED, "") if smoke else _printed_result(attempt.reading, spec)
    reports = attempt.heard.reports
    if not reports:
        said = failure_reason(attempt.tail)
        return Finding(
            RunEnding.CRASHED, "it ended without a result" + (f"; it last said: {said}" if said else "")
        )
    if len(reports) > 1:
        return Finding(RunEnding.CRASHED, "it reported two results that differ")
    if smoke:
        return Finding(RunEnding.MEASURED, "")
    report = reports[0]
    expected = {"metric": spec.metric, "seed": spec.seed, "budget_s": spec.budget_s, "clock": spec.clock}
    for name, value in expected.items():
        if report.get(name, value) != value:
            return Finding(
                RunEnding.CRASHED, f"it reported {name} {report[name]!r} where {value!r} was asked for"
            )
    if attempt.heard.stamp(RunPhase.TRAINING) is None:
        return Finding(RunEnding.CRASHED, "it reported a result without having trained")
    return _checked(number_of(report.get("value")), spec)


def _printed_result(reading: Reading, spec: RunSpec) -> Finding:
    if reading.refused:
        return Finding(RunEnding.CRASHED, 'its report says "pass": false')
    return _checked(reading.value, spec)


def _checked(value: float | None, spec: RunSpec) -> Finding:
    if value is None:
        return Finding(RunEnding.CRASHED, f"it ended without a {spec.metric}")
    if not math.isfinite(value):
        return Finding(RunEnding.CRASHED, f"{spec.metric} is {value}")
    return Finding(RunEnding.MEASURED, "", value)


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
