"""An experiment's title is read off its code where nobody gave it one."""

from __future__ import annotations

import pytest

from supervisor.drafts.change_title import change_title

CODE = "RATE = 0.5  # how fast\nDEPTH: int = 3\n\n\ndef step(x):\n    y = x * RATE\n    return y\n"


@pytest.mark.parametrize(
    ("old", "new", "title"),
    [
        ("RATE = 0.5 ", "RATE = 0.25 ", "RATE 0.5 → 0.25"),
        ("DEPTH: int = 3", "DEPTH: int = 12", "DEPTH 3 → 12"),
        ("RATE = 0.5  # how fast\nDEPTH: int = 3", "RATE = 1\nDEPTH: int = 4", "RATE 0.5 → 1, DEPTH 3 → 4"),
        ("    return y\n", "    y += 1\n    return y\n", "train.py: step(), +1 −0 lines"),
        ("def step(x):\n", "def step(x):\n    if x: return\n", "train.py: step(), +1 −0 lines"),
        ("x * RATE", "x", "y x * RATE → x"),
    ],
)
def test_what_changed_is_said(old: str, new: str, title: str) -> None:
    assert change_title({"train.py": CODE}, {"train.py": CODE.replace(old, new)}) == title


@pytest.mark.parametrize(
    ("old", "new", "title"),
    [
        ("const Chunk = 64\n", "const Chunk = 32\n", "Chunk 64 → 32"),
        ("#define WORK 2000 /* per call */\n", "#define WORK 20 /* per call */\n", "WORK 2000 → 20"),
        ("pub const WINDOW: usize = 26;\n", "pub const WINDOW: usize = 8;\n", "WINDOW 26 → 8"),
        ("BLOCK = 16\n", "BLOCK = 32\n", "BLOCK 16 → 32"),
    ],
)
def test_constants_of_other_languages_too(old: str, new: str, title: str) -> None:
    assert change_title({"a": old}, {"a": new}) == title


def test_several_files_are_named_and_nothing_is_no_title() -> None:
    before = {"a.py": "A = 1\n", "b.py": "B = 1\n"}
    assert change_title(before, before | {"a.py": "A = 2\n"}) == "A 1 → 2"
    assert change_title(before, {"a.py": "A = 2\n", "b.py": "B = 3\n"}) == "a.py: A 1 → 2, b.py: B 1 → 3"
    assert change_title(before, before | {"c.py": "x\ny\n"}) == "c.py: +2 −0 lines"
    assert change_title(before, before) == ""
    assert len(change_title({}, {f"{n}": "word\n" for n in range(90)})) <= 120
