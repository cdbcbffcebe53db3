"""What the guard lets through, and the name of each refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.drafts.guard import GuardRule, Refusal, check_edit, hash_sources, read_canvas
from supervisor.model.snapshot import Hypothesis
from supervisor.model.states import PORT, HypothesisState
from supervisor.store.connection import Store
from supervisor.store.hypotheses import add_hypotheses
from tests.worlds.fast_motion import TAG, World

CANVAS = "training/train.py"
BEFORE = "LR = 0.1  # learning rate\nprint(LR)\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return World(tmp_path).store


def refused(store: Store, after: str, changed: tuple[str, ...] = (CANVAS,)) -> GuardRule | None:
    parent = hash_sources({CANVAS: BEFORE})
    refusal = check_edit(store, TAG, {CANVAS: after}, parent, changed, (CANVAS,))
    return refusal.rule if refusal else None


def test_an_honest_edit_passes(store: Store) -> None:
    assert refused(store, BEFORE.replace("0.1", "0.2")) is None


@pytest.mark.parametrize(
    ("after", "rule"),
    [
        ("LR = 0.2\nprint(LR\n", GuardRule.DOES_NOT_PARSE),
        ("LR = 0.2\nprint(LR)\x00\n", GuardRule.DOES_NOT_PARSE),
        ("LR   =   0.1   # another comment\n\n\nprint(LR)\n", GuardRule.UNCHANGED),
    ],
)
def test_refusals_have_a_name(store: Store, after: str, rule: GuardRule) -> None:
    assert refused(store, after) is rule


@pytest.mark.parametrize("path", ["prepare.py", "training/__init__.py", "sitecustomize.py"])
def test_only_editable_paths_may_change(store: Store, path: str) -> None:
    assert refused(store, BEFORE.replace("0.1", "0.2"), (CANVAS, path)) is GuardRule.PROTECTED_PATH


def test_the_same_code_is_not_tried_twice_whatever_its_layout(tmp_path: Path) -> None:
    world = World(tmp_path)
    begun = world.draft("junior-1")
    after = "LR = 0.3\nprint(LR)\n"
    with world.store.transaction() as db:
        db.execute("UPDATE experiments SET source_hash = ? WHERE id = 1", (hash_sources({CANVAS: after}),))
    parent = hash_sources({CANVAS: BEFORE})
    twin = check_edit(world.store, TAG, {CANVAS: "LR=0.3 # new\nprint( LR )"}, parent, (CANVAS,), (CANVAS,))
    assert twin == Refusal(GuardRule.TRIED_BEFORE, f"the same code as {begun}")


def test_code_that_was_better_but_came_too_late_is_tried_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.draft("junior-1")
    hashes = hash_sources({CANVAS: "LR = 0.3\n"}), hash_sources({CANVAS: BEFORE})
    with world.store.transaction() as db:
        db.execute("UPDATE experiments SET source_hash = ?, verdict = 'discard' WHERE id = 1", (hashes[0],))

    def told() -> Refusal | None:
        return check_edit(world.store, TAG, {CANVAS: "LR = 0.3\n"}, hashes[1], (CANVAS,), (CANVAS,))

    def planned(category: str, edit: str) -> None:
        new = Hypothesis("again", category=category, edit=edit)
        add_hypotheses(world.store, TAG, "lab", (new,), HypothesisState.OPEN, 1.0, first=False)

    planned(PORT, "")
    planned(PORT, '{"port_of": "e0002", "edit": ""}')
    planned("shape", '{"port_of": "e0001", "edit": ""}')
    assert told() == Refusal(GuardRule.TRIED_BEFORE, "the same code as e0001")
    planned(PORT, '{"port_of": "e0001", "edit": ""}')
    assert told() is None


def test_a_canvas_must_be_a_plain_text_file(tmp_path: Path) -> None:
    (tmp_path / "a.py").symlink_to("/etc/passwd")
    (tmp_path / "b.py").write_bytes(b"\xff\xfe")
    (tmp_path / "c.py").write_text("#" * 2_000_000)
    rules = [read_canvas(tmp_path, (name,)) for name in ("a.py", "b.py", "c.py", "d.py")]
    assert [r.rule for r in rules if isinstance(r, Refusal)] == [
        GuardRule.NOT_A_FILE,
        GuardRule.NOT_A_FILE,
        GuardRule.TOO_LARGE,
        GuardRule.NOT_A_FILE,
    ]
