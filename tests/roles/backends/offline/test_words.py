"""What a person types, read as an edit where it is one."""

from __future__ import annotations

from typing import Any

import pytest

from roles.backends.offline.edits import KnobEdit
from roles.backends.offline.words import read_words


@pytest.mark.parametrize(
    ("words", "moves"),
    [
        ("DEPTH = 2", {"DEPTH": 2}),
        ("set DEPTH to 3", {"DEPTH": 3}),
        ("please try depth=6, N_EMBD = 96", {"DEPTH": 6, "N_EMBD": 96}),
        ("matrix lr 2x", {"MATRIX_LR": 0.002}),
        ("EMBEDDING_LR ×4", {"EMBEDDING_LR": 0.012}),
        ("TOKENS_PER_STEP / 2", {"TOKENS_PER_STEP": 2048}),
        ("halve TOKENS_PER_STEP", {"TOKENS_PER_STEP": 2048}),
        ("double the N_EMBD", {"N_EMBD": 128}),
        ("TOKENS_PER_STEP 4096 → 1024", {"TOKENS_PER_STEP": 1024}),
        ("MATRIX_OPTIMIZER = muon", {"MATRIX_OPTIMIZER": "muon"}),
        ('WINDOW_PATTERN = "SSL"', {"WINDOW_PATTERN": "SSL"}),
        ("QK_NORM on", {"QK_NORM": True}),
        ("WARMDOWN = .5", None),
        ("MATRIX_OPTIMIZER = lion", None),
        ("DEPTH = 2.5", None),
        ("DEPTH = 4", None),
        ("the depth is wrong somewhere", None),
        ("make it better", None),
    ],
)
def test_the_forms_it_reads(words: str, moves: dict[str, object] | None, train_text: str) -> None:
    edit = read_words(words, train_text)
    if moves is None:
        assert edit is None
    else:
        assert isinstance(edit, KnobEdit)
        assert {move.knob: move.new for move in edit.moves} == moves


@pytest.mark.parametrize("words", ["Squared ReLU in the MLP", "use squared-relu, please", "try squared relu"])
def test_the_catalogue_by_title_or_id(words: str, train_text: str, make: Any) -> None:
    assert read_words(words, train_text) == make.structural("squared-relu")
