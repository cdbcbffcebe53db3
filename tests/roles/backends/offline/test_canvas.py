"""Reading knobs and changing them without touching anything else."""

from __future__ import annotations

import pytest

from roles.backends.offline.canvas import read_knobs, set_knobs, written
from roles.backends.offline.source import UnreadableCanvasError, normalised

HEAD = '''"""Größe — a canvas."""
DEPTH = 4  # layers, "ä"
LR: float = 3e-4   # rate
BATCH = 2**15
NAME = 'gelu'  # "gelu" or "relu"
FLAG = True
LIST = [1, 2]
_HIDDEN = 3
TWICE = 1
TWICE = 2
lower = 5

def f():
    INNER = 7
    return INNER
'''


def test_knobs_are_the_upper_case_literals_at_the_top() -> None:
    knobs = read_knobs(HEAD)
    assert {name: knob.value for name, knob in knobs.items()} == {
        "DEPTH": 4,
        "LR": 3e-4,
        "BATCH": 2**15,
        "NAME": "gelu",
        "FLAG": True,
    }
    assert knobs["NAME"].comment == '"gelu" or "relu"'


def test_a_set_knob_keeps_comments_layout_and_everything_else() -> None:
    text = set_knobs(HEAD, {"LR": 6e-4, "DEPTH": 2, "NAME": "relu", "BATCH": 16384, "FLAG": False})
    assert text == HEAD.replace("3e-4 ", "0.0006 ").replace("= 4 ", "= 2 ").replace(
        "'gelu'", '"relu"'
    ).replace("2**15", "16384").replace("True", "False")


def test_positions_hold_with_form_feeds_and_foreign_newlines() -> None:
    text = '"""\x0c ü"""\r\nDEPTH = 4\r\nWIDTH = 8\r\n'
    assert set_knobs(text, {"WIDTH": 16}) == text.replace("8", "16")


def test_columns_count_characters_where_python_counts_bytes() -> None:
    assert set_knobs("GRÖSSE = 4  # ö\n", {"GRÖSSE": 8}) == "GRÖSSE = 8  # ö\n"


def test_a_missing_knob_changes_nothing() -> None:
    assert set_knobs(HEAD, {"WIDTH": 3}) is None


def test_without_upper_case_any_top_level_number_will_do() -> None:
    assert {n: k.value for n, k in read_knobs("lr = 0.1\nname = 'x'\nflag = True\nn = -3\n").items()} == {
        "lr": 0.1,
        "n": -3,
    }


def test_what_is_no_python_says_so() -> None:
    with pytest.raises(UnreadableCanvasError, match="not Python that parses"):
        read_knobs("def broken(:\n")


def test_normalised_code_ignores_comments_and_layout_only() -> None:
    assert normalised("A = 1  # one\n\n\nB = (2)\n") == normalised("A=1\nB = 2")
    assert normalised("A = 1") != normalised("A = 2")


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1.0"), (0.3000000001, "0.3"), (3e-05, "3e-05"), (True, "True"), ("a", '"a"'), (7, "7")],
)
def test_values_are_written_as_a_person_would(value: float | str, text: str) -> None:
    assert written(value) == text
