"""Which printed fields `init` takes for a benchmark's judgement of its own results."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.model.states import Direction
from supervisor.recognition.finding import Fact, Finding, FoundGate, Kind
from supervisor.recognition.gates import add_gates, add_printed_gates
from supervisor.recognition.tree import Tree

ABOUT_MS = Finding(Kind.PAIR, 0.8).with_fact(Fact.METRIC, "ms", "bench.py:3", "printed")


def gates_in(source: str, path: str = "bench.py") -> dict[str, str]:
    tree = Tree(Path("/nowhere"), [path], {path: source.encode()}.get)
    return {gate.name: gate.equals for gate in add_gates(ABOUT_MS, tree, [path]).gates}


@pytest.mark.parametrize(
    ("line", "equals"),
    [
        ('print("check: " + ("PASS" if ok else "FAIL"))', "PASS"),
        ("print(f\"check: {'OK' if ok else 'MISMATCH'}\")", "OK"),
        ('printf("check: %s\\n", bad ? "FAILED" : "PASSED");', "PASSED"),
        ('word = "PASS" if ok else "FAIL"\nprint(f"check: {word}")', "PASS"),
        ('ok = a == b\nprint(f"ok: {ok}")', "true"),
        ('good = np.allclose(a, b)\nprint("correct:", good)', "true"),
        ('import json\n\nprint(json.dumps({"ms": t, "pass": a == b}))', "true"),
        ('good = all(checks)\n\nprint(json.dumps({"valid": good, "ms": t}))', "true"),
    ],
)
def test_what_judges_is_found_in_sources(line: str, equals: str) -> None:
    assert list(gates_in(line).values()) == [equals]


@pytest.mark.parametrize(
    "line",
    [
        'print(f"passed: {passed}")',
        "print(f\"{m}x{n:<8}{'PASS' if good else 'FAIL':<9}{t:>8.1f}\")",
        'import json\nfor c in cases: print(json.dumps({"id": c.id, "ok": c.said == c.wanted, "ms": t}))',
        'print(f"loss: {loss < 3}")',
        'print("usage: run PASS or FAIL")',
        'json.dump({"ms": 1}, f)\n\nprint(f"ms: {t}")\n'
        + "\n" * 20
        + 'rows.append({"correct": said == wanted})',
        '# print("check: " + ("PASS" if ok else "FAIL"))',
        'ok = a == b\nprint("=== CORRECTNESS ===")',
        "print(f\"shape {n:5d}: {'PASS' if ok else 'FAIL'}\")",
        'printf("Test %s\\n", ok ? "PASSED" : "FAILED");',
        "print(f\"max_diff: {d:.2e} ({'PASS' if d < 1 else 'FAIL'})\")",
        'printf("max_diff: %.2e (%s)\\n", d, d < 1 ? "PASS" : "FAIL");',
    ],
)
def test_counts_headlines_and_other_words_are_none(line: str) -> None:
    assert gates_in(line) == {}


def test_a_trial_shows_what_no_source_tells() -> None:
    output = "warming up\ncorrectness: PASS\nok=1 ms=3\ndebug: true\nms: 3\n"
    found = add_printed_gates(ABOUT_MS, output)
    assert found.gates == (FoundGate("correctness", "PASS"), FoundGate("ok", "true"))


def test_a_field_that_is_bad_as_it_stands_is_told_and_single_cases_are_no_gate() -> None:
    found = add_printed_gates(
        ABOUT_MS, 'correctness: FAIL\n{"case": 1, "correct": true}\n{"case": 2, "correct": false}\n'
    )
    assert found.gates == ()
    assert found.cautions == (
        "the unchanged code prints correctness: FAIL; mend that first, no gate asks for it yet",
    )
    assert found.direction is not Direction.HIGHER


def test_a_judgement_in_a_column_is_no_gate_and_is_told() -> None:
    row = "print(f\"{a}x{b:<12}{'fp32':<8}{'PASS' if good else 'FAIL':<10}{ms:>9.2f}\")\n"
    tree = Tree(Path("/nowhere"), ["bench.py"], {"bench.py": row.encode()}.get)
    found = add_gates(ABOUT_MS, tree, ["bench.py"])
    assert found.gates == () and found.cautions[0].startswith("bench.py:1 prints PASS, or that it is wrong")
