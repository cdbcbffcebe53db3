"""Unified diffs as git writes them, applied and taken back."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from roles.backends.offline.patches import apply_hunks, read_patch


def git_diff(folder: Path, before: str, after: str, context: int = 3) -> str:
    old, new = folder / "old", folder / "new"
    old.write_text(before)
    new.write_text(after)
    done = subprocess.run(
        ["git", "diff", "--no-index", f"-U{context}", "old", "new"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.stdout


@pytest.mark.parametrize("seed", range(12))
def test_applying_and_taking_back_are_inverse(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    before = [f"line {number} {dice.random()}" for number in range(60)]
    after = list(before)
    for _ in range(dice.randrange(1, 8)):
        at = dice.randrange(len(after))
        match dice.randrange(3):
            case 0:
                del after[at]
            case 1:
                after.insert(at, f"new {dice.random()}")
            case _:
                after[at] = f"changed {dice.random()}"
    ends = dice.choice(["\n", ""]), dice.choice(["\n", ""])
    old, new = "\n".join(before) + ends[0], "\n".join(after) + ends[1]
    hunks = read_patch(git_diff(tmp_path, old, new, context=dice.choice([0, 1, 3])))["new"]
    assert apply_hunks(old, hunks) == new
    assert apply_hunks(new, hunks, take_back=True) == old


def test_a_patch_of_another_text_does_not_apply(tmp_path: Path) -> None:
    hunks = read_patch(git_diff(tmp_path, "a\nb\nc\n", "a\nB\nc\n"))["new"]
    assert apply_hunks("a\nx\nc\n", hunks) is None


def test_several_files_and_what_is_no_hunk() -> None:
    diff = (
        "diff --git a/x.py b/x.py\nold mode 100644\nnew mode 100755\n"
        "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n"
        "diff --git a/y b/y\nBinary files a/y and b/y differ\n"
        "diff --git a/z.py b/z.py\n--- a/z.py\n+++ b/z.py\n@@ -0,0 +1,2 @@\n+one\n+two\n"
    )
    files = read_patch(diff)
    assert set(files) == {"x.py", "z.py"}
    assert apply_hunks("a\n", files["x.py"]) == "b\n"
    assert apply_hunks("", files["z.py"]) == "one\ntwo\n"
