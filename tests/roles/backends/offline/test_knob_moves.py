"""Knob steps make sense for what the knob is, and hold the canvas's own rules."""

from __future__ import annotations

import pytest

from roles.backends.offline.canvas import read_knobs, set_knobs
from roles.backends.offline.constraints import violated
from roles.backends.offline.knob_moves import KnobMove, moves_of


def steps(text: str, name: str) -> dict[object, str]:
    """New value to direction."""
    knobs = read_knobs(text)
    return {step.new: step.direction for step in moves_of(knobs[name], text, knobs)}


def used(head: str) -> str:
    """A canvas that reads its knobs."""
    return f"{head}\nprint({', '.join(read_knobs(head))})\n"


@pytest.mark.parametrize(
    ("head", "name", "expected"),
    [
        ("MATRIX_LR = 0.003", "MATRIX_LR", {0.00075: "down", 0.0015: "down", 0.006: "up", 0.012: "up"}),
        ("TOKENS_PER_STEP = 4096", "TOKENS_PER_STEP", {1024: "down", 2048: "down", 8192: "up", 16384: "up"}),
        ("DEPTH = 1", "DEPTH", {2: "up"}),
        ("WARMDOWN = 0.4", "WARMDOWN", {0.2: "down", 0.8: "up", 0.7: "up"}),
        ("ADAM_BETA2 = 0.95", "ADAM_BETA2", {0.9: "down", 0.975: "up"}),
        ("SOFTCAP = 0.0  # 0 = off, typical 15", "SOFTCAP", {15.0: "up"}),
        ("GRAD_CLIP = 1.0  # 0 = off", "GRAD_CLIP", {0.5: "down", 2.0: "up", 0.0: "down"}),
        ("TIED = False", "TIED", {True: "=True"}),
        ('ACT = "gelu"  # "gelu", "relu" or "silu"', "ACT", {"relu": "=relu", "silu": "=silu"}),
        ('ACT = "gelu"  # an activation', "ACT", {}),
        ("THREADS = 1", "THREADS", {}),
        ("SEED = 42", "SEED", {}),
    ],
)
def test_steps_suit_the_knob(head: str, name: str, expected: dict[object, str]) -> None:
    assert steps(used(head), name) == expected


def test_steps_keep_the_rules_that_the_canvas_asserts() -> None:
    text = used("N_EMBD = 60\nN_HEAD = 6") + "assert N_EMBD % (2 * N_HEAD) == 0\n"
    assert set(steps(text, "N_HEAD")) == {3, 5}
    assert set(steps(text, "N_EMBD")) == {120}


def test_heads_divide_the_width_even_when_the_canvas_does_not_say_so() -> None:
    text = used("n_embd = 64\nn_head = 4")
    assert 3 not in steps(text, "n_head")
    assert 2 in steps(text, "n_head")


def test_a_knob_of_another_choice_sleeps(train_text: str) -> None:
    assert steps(train_text, "MUON_LR") == {}
    assert steps(train_text, "MATRIX_LR") != {}
    muon = set_knobs(train_text, {"MATRIX_OPTIMIZER": "muon"})
    assert muon is not None
    assert steps(muon, "MUON_LR") != {}
    assert steps(muon, "MATRIX_LR") == {}


def test_a_knob_that_needs_another_sleeps_until_that_is_on(train_text: str) -> None:
    assert steps(train_text, "VALUE_GATE") == steps(train_text, "SHORT_WINDOW") == {}
    awake = set_knobs(train_text, {"VALUE_EMBEDDINGS": True, "WINDOW_PATTERN": "SL"})
    assert awake is not None
    assert steps(awake, "VALUE_GATE") == {True: "=True"}
    assert steps(awake, "SHORT_WINDOW") != {}


def test_a_knob_that_the_code_no_longer_reads_sleeps() -> None:
    assert steps("DEPTH = 4\nassert DEPTH > 0\n", "DEPTH") == {}


def test_every_step_of_the_real_canvas_keeps_its_rules(train_text: str) -> None:
    knobs = read_knobs(train_text)
    values = {name: knob.value for name, knob in knobs.items()}
    found = [step for knob in knobs.values() for step in moves_of(knob, train_text, knobs)]
    assert len(found) >= 40
    assert all(violated(train_text, values | {step.knob: step.new}) is None for step in found)


def test_an_assert_that_needs_more_than_arithmetic_says_nothing() -> None:
    assert violated("import os\nassert os.path.exists('x')\nassert A < 2 < 3\n", {"A": 1}) is None
    assert violated("assert A in (1, 2) and not A > 3\n", {"A": 4}) == "A in (1, 2) and (not A > 3)"


def test_words_of_a_step() -> None:
    assert KnobMove.between("LR", 0.001, 0.002).words == "LR 0.001 → 0.002"
