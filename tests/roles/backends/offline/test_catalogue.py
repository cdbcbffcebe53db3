"""Every structural edit, on the real canvas, run for real."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Callable

import pytest

from roles.backends.offline.canvas import set_knobs
from roles.backends.offline.catalogue import CATALOGUE
from roles.backends.offline.source import normalised

Smoke = Callable[[dict[str, str]], dict[str, dict[str, str]]]
REPEATABLE = {"wider-shallower", "deeper-narrower", "silu"}  # steps, not states


def small(text: str) -> str:
    result = set_knobs(text, {"TOKENS_PER_STEP": 256})
    assert result is not None
    return result


def test_there_are_enough_of_them_in_enough_kinds() -> None:
    assert len(CATALOGUE) >= 10
    assert len({edit.category for edit in CATALOGUE.values()}) >= 6


def test_every_edit_trains_and_passes_the_probes(train_text: str, smoke: Smoke) -> None:
    edited = {name: edit.apply(train_text) for name, edit in CATALOGUE.items()}
    assert [name for name, text in edited.items() if text is None] == []
    results = smoke({name: small(text) for name, text in edited.items() if text})
    assert {name: result["error"] for name, result in results.items()} == dict.fromkeys(CATALOGUE, "")
    assert all(re.search(r"^val_bpb: +\d", result["output"], re.MULTILINE) for result in results.values())


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_edit_changes_code_and_touches_nothing_else(name: str, train_text: str) -> None:
    text = CATALOGUE[name].apply(train_text)
    assert text is not None
    ast.parse(text)
    assert normalised(text) != normalised(train_text)
    changed = [
        line
        for line in difflib.ndiff(train_text.splitlines(), text.splitlines())
        if line.startswith(("- ", "+ "))
    ]
    assert len(changed) <= 10
    assert all(len(line) <= 112 for line in changed)


@pytest.mark.parametrize("name", sorted(CATALOGUE.keys() - REPEATABLE))
def test_an_edit_that_is_in_place_does_not_apply_again(name: str, train_text: str) -> None:
    once = CATALOGUE[name].apply(train_text)
    assert once is not None
    assert CATALOGUE[name].apply(once) is None


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize(
    "canvas",
    ["", "x = 1\n", "def broken(:\n", "class A:\n    def forward(self, x):\n        return x\n"],
    ids=["empty", "number", "broken", "bare class"],
)
def test_an_edit_knows_what_it_does_not_know(name: str, canvas: str) -> None:
    assert CATALOGUE[name].apply(canvas) is None


def test_the_stack_of_what_goes_together_runs(train_text: str, smoke: Smoke) -> None:
    """A champion is many edits deep; each finds its anchors in the code that the others left."""
    text, applied = train_text, []
    for name, edit in CATALOGUE.items():
        result = edit.apply(text)
        if result is not None:
            text, applied = result, [*applied, name]
    assert len(applied) >= 14
    assert smoke({"stack": small(text)})["stack"]["error"] == ""


def test_another_canvas_in_another_dialect_is_recognised_where_it_is_the_same() -> None:
    """Names are the canvas's own; what the code does is the anchor."""
    foreign = """
import torch.nn as nn
import torch.nn.functional as F

n_layer = 4


class Feed(nn.Module):
    def __init__(self):
        super().__init__()
        self.c_fc = nn.Linear(64, 4 * 64)
        self.c_proj = nn.Linear(4 * 64, 64)

    def forward(self, z):
        z = self.c_fc(z)
        z = F.gelu(z)
        return self.c_proj(z)


class Layer(nn.Module):
    def forward(self, z):
        z = z + self.attn(self.ln_1(z))
        z = z + self.feed(self.ln_2(z))
        return z
"""
    assert "z = F.relu(z).square()" in (CATALOGUE["squared-relu"].apply(foreign) or "")
    parallel = CATALOGUE["parallel-block"].apply(foreign) or ""
    assert "z = z + self.attn(self.ln_1(z)) + self.feed(self.ln_2(z))" in parallel
    assert CATALOGUE["tied-head"].apply(foreign) is None
