"""Data that comes along as code is refused by what it says, compressed; honest edits are nowhere near."""

from __future__ import annotations

import base64
import random
import string

import pytest

from supervisor.audit.source_growth import find_data

DICE = random.Random(7)
BLOB = DICE.randbytes(3000)
BASE = "import torch\n\nWIDTH = 4\n\n\ndef f(x):\n    return x * WIDTH\n"
LETTERS = "".join(DICE.choices(string.ascii_letters, k=4000))
CARRIED = {
    "a docstring": f'def g():\n    """{base64.b64encode(BLOB).decode()}"""\n',
    "a comment": f"# {LETTERS}\n",
    "a literal": f"TABLE = {[DICE.random() for _ in range(400)]}\n",
    "a name": f"{LETTERS} = 1\n",
    "annotations": f"def g(x: '{LETTERS}'): ...\n",
    "names of arguments": "def g(" + ", ".join(LETTERS[n : n + 20] for n in range(0, 4000, 20)) + "): ...\n",
    "format fields": f"'{{:{LETTERS}}}'.format\n",
    "one large number": f"N = {int.from_bytes(BLOB, 'big')}\n"
    if len(BLOB) < 1700
    else f"N = 0x{BLOB.hex()}\n",
}


@pytest.mark.parametrize("road", CARRIED)
def test_data_in_the_source_is_refused_with_its_size(road: str) -> None:
    why = find_data({"a": BASE}, {"a": BASE}, {"a": BASE + CARRIED[road]}, 8.0)
    assert "more than its new statements need" in why


def test_what_an_edit_honestly_says_passes(train_text: str) -> None:
    doubled = train_text + train_text.replace("class GPT", "class GPT2").replace("def main", "def main2")
    assert find_data({"a": train_text}, {"a": train_text}, {"a": doubled}, 8.0) == ""
    knobs = train_text.replace("DEPTH = 4", "DEPTH = 6").replace("MATRIX_LR = 0.001", "MATRIX_LR = 0.00137")
    assert find_data({"a": train_text}, {"a": train_text}, {"a": knobs}, 8.0) == ""
    # A new module of a hundred statements, of which each is unlike the others.
    lines = [f"    h{n} = torch.tanh(w{n} @ h{n - 1} + b{n % 7})" for n in range(1, 100)]
    module = "\n\ndef deep(h0, *weights):\n" + "\n".join(lines) + "\n    return h99\n"
    assert find_data({"a": train_text}, {"a": train_text}, {"a": train_text + module}, 8.0) == ""


def test_many_statements_are_held_to_the_limit_of_an_experiment_and_of_a_lineage() -> None:
    def table(first: int, last: int) -> str:
        return "".join(f"w{n} = {random.Random(n).random()}\n" for n in range(first, last))

    parent = {"a": BASE + table(0, 900)}
    why = find_data({"a": BASE}, {"a": BASE}, parent, 4.0)
    assert "since its parent; [audit] source_kb allows 4,096" in why
    assert find_data({"a": BASE}, {"a": BASE + table(0, 100)}, {"a": BASE + table(0, 200)}, 4.0) == ""
    why = find_data({"a": BASE}, {"a": BASE + table(0, 1900)}, {"a": BASE + table(0, 2000)}, 4.0)
    assert "since the campaign began; [audit] source_kb allows 12,288" in why
