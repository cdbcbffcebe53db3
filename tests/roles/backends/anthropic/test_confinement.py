"""The tools by themselves: what they do, and what they refuse."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from roles.backends.anthropic import searching, tools
from roles.backends.anthropic.tools import ALL, Toolbox
from roles.backends.anthropic.worktree_files import ToolError, WorktreeFiles
from supervisor.lab.config import LabSection
from tests.roles.backends.anthropic.conftest import CANVAS, World, tree


@pytest.fixture
def box(world: World) -> Toolbox:
    lab = LabSection(editable=("train.py", "alias.py", "away/secret.txt"), new_files=("extra/*.py",))
    return Toolbox(WorktreeFiles(world.worktree, lambda path: path in lab.canvas([path])), ALL)


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt", "away/secret.txt", "out", "/etc/passwd", "extra/../../secret.txt", "~/.ssh/id_rsa",
        ".git/config", ".GIT/config", "docs/../.git/HEAD", "", ".", "docs", "no.py", "a\0b", "/proc/self/environ",
        "x" * 5_000, "behind/config", "docs/../prepare.py",
    ],
)  # fmt: skip
def test_what_can_t_be_read(box: Toolbox, path: str) -> None:
    with pytest.raises(ToolError):
        box.use("read", {"path": path})


@pytest.mark.parametrize(
    "path",
    [
        "prepare.py", "./prepare.py", "docs/notes.md", "new.py", "extra/deep/new.py", "extra/new.txt", "alias.py",
        "away/secret.txt", ".git/config", ".git/hooks/pre-commit", "../new.py", "extra/../prepare.py", "extra",
        "/etc/cron.d/x", "extra/.git/x.py", "", "behind/config",
    ],
)  # fmt: skip
@pytest.mark.parametrize("tool", ["edit", "write"])
def test_what_can_t_be_changed(world: World, box: Toolbox, tool: str, path: str) -> None:
    before, outside = tree(world.worktree), tree(world.worktree.parent)
    given: dict[str, Any] = {"path": path, "old": "SEED = 1", "new": "SEED = 7"}
    with pytest.raises(ToolError):
        box.use(tool, given if tool == "edit" else {"path": path, "text": "SEED = 7\n"})
    assert tree(world.worktree) == before and tree(world.worktree.parent) == outside and not box.changed


def test_what_may_be_changed_keeps_its_mode(world: World, box: Toolbox) -> None:
    train = world.worktree / "train.py"
    train.chmod(0o755)
    absolute = str(train)
    assert "replaced 1 time" in box.use("edit", {"path": absolute, "old": "WIDTH = 64", "new": "WIDTH = 96"})
    box.use("write", {"path": "extra/new.py", "text": "x = 'ü'\n"})
    assert train.stat().st_mode & 0o777 == 0o755 and "WIDTH = 96" in train.read_text()
    assert (world.worktree / "extra" / "new.py").read_text() == "x = 'ü'\n"
    assert box.changed == {"train.py", "extra/new.py"}


def test_an_edit_must_fit_once(world: World, box: Toolbox) -> None:
    with pytest.raises(ToolError, match="2 times"):
        box.use("edit", {"path": "train.py", "old": "WIDTH", "new": "x"})
    with pytest.raises(ToolError, match="not in the file"):
        box.use("edit", {"path": "train.py", "old": "HEADS", "new": "x"})
    with pytest.raises(ToolError, match="not in the file"):
        box.use("edit", {"path": "train.py", "old": "", "new": "x"})
    box.use("edit", {"path": "train.py", "old": "WIDTH", "new": "BREADTH", "everywhere": True})
    assert (world.worktree / "train.py").read_text() == CANVAS.replace("WIDTH", "BREADTH")


def test_a_file_that_no_longer_parses_is_said_at_once(box: Toolbox) -> None:
    assert "does not parse" in box.use(
        "edit", {"path": "train.py", "old": "def build():", "new": "def build("}
    )


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("read", {}, "path is missing"), ("read", {"path": 7}, "path must be a str"),
        ("read", {"path": "train.py", "lines": "all"}, "lines must be a int"),
        ("grep", {"pattern": "("}, "not a regular expression"), ("bash", {"command": "ls"}, "no tool 'bash'"),
    ],
)  # fmt: skip
def test_calls_that_make_no_sense(box: Toolbox, name: str, arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(ToolError, match=why):
        box.use(name, arguments)


def test_results_and_files_are_capped_with_a_note(
    world: World, box: Toolbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.worktree / "long.txt").write_text("".join(f"line {n}\n" for n in range(5_000)))
    shown = box.use("read", {"path": "long.txt"})
    assert shown.endswith("(of 5000 lines; go on with first_line 2001)")
    assert box.use("read", {"path": "long.txt", "first_line": 4_999}) == "4999\tline 4998\n5000\tline 4999"
    assert "none from 9000" in box.use("read", {"path": "long.txt", "first_line": 9_000})
    found = box.use("grep", {"pattern": "line", "path": "long.txt"})
    assert len(found.splitlines()) == searching.MOST_LINES + 1 and "narrow the search" in found
    (world.worktree / "wide.txt").write_text(("y" * 1_999 + "\n") * 100)
    assert "(cut:" in box.use("read", {"path": "wide.txt"})
    (world.worktree / "big.txt").write_text("x" * 1_000_001)
    with pytest.raises(ToolError, match="larger than"):
        box.use("read", {"path": "big.txt"})
    with pytest.raises(ToolError, match="are allowed"):
        box.use("write", {"path": "train.py", "text": "#" * 1_000_001})
    (world.worktree / "raw.bin").write_bytes(b"\xff\xfe\0")
    with pytest.raises(ToolError, match="not UTF-8"):
        box.use("read", {"path": "raw.bin"})
    monkeypatch.setattr(tools, "MOST_PATHS", 2)
    assert box.use("glob", {"pattern": "*"}).endswith("more)")


def test_searches_stay_inside(world: World, box: Toolbox) -> None:
    assert box.use("grep", {"pattern": "outside|url|SEED"}) == "prepare.py:1: SEED = 1"
    assert box.use("glob", {"pattern": "**/*"}).splitlines() == ["prepare.py", "train.py", "docs/notes.md"]
    assert box.use("glob", {"pattern": "docs/*"}) == "docs/notes.md"
    assert box.use("glob", {"pattern": "../*"}) == "nothing found"
    for below in ("..", "away", ".git", "/etc"):
        with pytest.raises(ToolError):
            box.use("grep", {"pattern": ".", "path": below})


def test_a_search_that_never_ends_is_ended(
    world: World, box: Toolbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.worktree / "trap.txt").write_text("a" * 60 + "!\n")
    monkeypatch.setattr(searching, "TIMEOUT_S", 0.5)
    with pytest.raises(ToolError, match="took longer"):
        box.use("grep", {"pattern": "(a+)+$", "path": "trap.txt"})


def test_a_pipe_does_not_hang_a_reader(world: World, box: Toolbox) -> None:
    os.mkfifo(world.worktree / "pipe")
    with pytest.raises(ToolError, match="not a file"):
        box.use("read", {"path": "pipe"})
    assert "train.py" in box.use("grep", {"pattern": "DEPTH"})


def test_a_root_behind_a_link_is_the_root(world: World, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(world.worktree)
    box = Toolbox(WorktreeFiles(tmp_path / "link", lambda path: path == "train.py"), ALL)
    box.use("edit", {"path": str(tmp_path / "link" / "train.py"), "old": "DEPTH = 4", "new": "DEPTH = 3"})
    assert (world.worktree / "train.py").read_text().startswith("DEPTH = 3")
