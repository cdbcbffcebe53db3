"""What a run says of its own results, and which scores therefore do not count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sessions.runs.channel import RefereeEvents
from sessions.runs.contract import Gate, RunEnding, RunSpec
from sessions.runs.ending import Attempt, judge
from sessions.runs.gates import ClosedGate, FieldReader, closed_gate, figures_said
from sessions.runs.metric_formats import MetricFormat
from sessions.runs.printed_metric import Reading


def ask(output: str, *gates: Gate) -> ClosedGate | None:
    reader = FieldReader([gate.name for gate in gates])
    for at in range(0, len(output), 7):
        reader.take(output[at : at + 7].encode())
    return closed_gate(gates, reader.said())


@pytest.mark.parametrize(
    ("output", "equals"),
    [
        ("correctness: PASS", "PASS"),
        ("Correctness = pass (max err 1e-6)\n", "PASS"),
        ("\x1b[32mcorrectness: PASS\x1b[0m\n", "PASS"),
        ("size 1024 | correctness: PASS, 12.1 TFLOPS\n", "PASS"),
        ("| correctness | PASS |\n", "PASS"),
        ("correctness=PASS tflops=31.2", "PASS"),
        ("=== CORRECTNESS ===\ncorrectness: PASS\n", "PASS"),
        ("correctness: all close", "all close"),
        ('{"correctness": "PASS", "ms": 3}\n', "PASS"),
        ('{\n  "ms": 3,\n  "correctness": true\n}\n', "true"),
        ("METRIC correctness=1\n", "true"),
        ("correctness: 1.0\n", "1"),
        ("correctness: yes\n", "true"),
    ],
)
def test_a_field_that_says_what_it_must_opens_its_gate(output: str, equals: str) -> None:
    assert ask(output, Gate("correctness", equals)) is None


@pytest.mark.parametrize(
    ("output", "gate", "quote"),
    [
        ("correctness: FAIL (row 3)\n", Gate("correctness", "PASS"), "“correctness: FAIL (row 3)”; correctness must"),
        ("correctness: FAIL\ncorrectness: PASS\n", Gate("correctness", "PASS"), "“correctness: FAIL”"),
        ('{"id": 3, "ok": false, "ms": 1}', Gate("ok", "true"), '“{"id": 3, "ok": false, "ms": 1}”'),
        ("ok=0", Gate("ok", "1"), "“ok=0”; ok must be 1"),
        ("accuracy: 49.9 %\n", Gate("accuracy", least=50), "accuracy must be at least 50"),
        ("heap: 1,024 KB\n", Gate("heap", most=1000), "“heap: 1,024 KB”; heap must be at most 1000"),
        ("heap: nan\n", Gate("heap", most=1000), "“heap: nan”"),
        ("heap: 3\nheap: 7 MB\n", Gate("heap", most=5), "“heap: 7 MB”"),
        ("verification failed\nVerification: FAILED at 12\n", Gate("ms"), "it printed “Verification: FAILED at 12”"),
        ("correctness: FAIL\n", Gate("ms"), "“correctness: FAIL”"),
    ],
)  # fmt: skip
def test_a_field_that_says_no_closes_it_and_is_quoted(output: str, gate: Gate, quote: str) -> None:
    closed = ask(output + "\nms: 3\n", gate)
    assert closed is not None and quote in closed.reason and not closed.missing


def test_a_field_that_is_not_printed_is_no_pass() -> None:
    closed = ask("is_ok: 1\nok\n", Gate("ok", "1"))
    assert closed == ClosedGate("gate ok: it printed no ok; ok must be 1", missing=True)
    assert ask("", Gate("ok")) is not None
    assert ask("ok: whatever\n", Gate("ok")) is None


def test_numbers_are_held_against_the_last_line_only() -> None:
    assert ask("accuracy: 10\naccuracy: 90\n", Gate("accuracy", least=50)) is None


def test_a_gate_of_ones_own_stands_in_for_what_is_believed_unasked() -> None:
    assert ask("correctness: fail-safe\n", Gate("correctness")) is None
    assert ask("a correctness: FAIL in words\ncase 3: correct: false\n") is None


def test_a_flood_of_fields_is_read_in_passing() -> None:
    reader = FieldReader(["ok"])
    for _ in range(40):
        reader.take(b"ok: ok: ok: " * 5000 + b"\n" + b"ok: 1\n" * 5000)
    assert closed_gate([Gate("ok")], reader.said()) is None


SPEC = RunSpec(
    "e0001.1", Path("/r"), Path("/b"), ("true",), {}, 1, 60.0, "wall", "cpu:0", 60.0, "ms", has_referee=False
)
WRONG = ClosedGate("gate ok: it printed “ok: 0”; ok must be 1")


@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_benchmark_that_says_wrong_is_rejected_however_it_ends(exit_code: int) -> None:
    attempt = Attempt(
        RefereeEvents(), exit_code, "ok: 0", closed_gate=WRONG, reading=Reading(3.0, MetricFormat.COLON)
    )
    result = judge(attempt, SPEC, False)
    assert (result.ending, result.reason, result.metric) == (RunEnding.REJECTED, WRONG.reason, None)


def test_a_crash_is_a_crash_though_its_fields_are_missing() -> None:
    attempt = Attempt(RefereeEvents(), 1, "KeyError: 3", closed_gate=replace(WRONG, missing=True))
    assert judge(attempt, SPEC, False).ending is RunEnding.CRASHED


def test_a_json_report_that_says_no_is_rejected_unless_a_gate_asks_for_something_else() -> None:
    attempt = Attempt(RefereeEvents(), 0, "", reading=Reading(3.0, MetricFormat.JSON, refused=True))
    assert judge(attempt, SPEC, False).ending is RunEnding.REJECTED
    assert judge(attempt, replace(SPEC, gates=(Gate("pass"),)), False).ending is RunEnding.MEASURED


def test_figures_that_only_people_would_read_are_figures_as_well() -> None:
    reader = FieldReader(["recall@1", "latency_ms", "verdict"])
    reader.take(b"ndcg = 0.98  latency_ms = 0.12\nrecall@1: 52.0%\nrecall@1: 60.5%\nverdict: PASS\n")
    assert figures_said(reader.said()) == {"latency_ms": 0.12, "recall@1": 60.5}
