"""Finding a lab from anywhere in it, and saying what to do where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.errors import ConfigError, NotALab
from supervisor.lab.paths import Layout, find_lab
from supervisor.lab.state_folder import prepare_state

Make = Callable[..., Path]
KARPATHY = {"program.md": "", "prepare.py": "TIME_BUDGET = 300\n", "train.py": "", "pyproject.toml": ""}


def test_our_layout_is_found_from_a_folder_inside(lab_root: Path) -> None:
    lab = find_lab(lab_root / "training")
    assert lab.root == lab_root
    assert lab.layout is Layout.OURS
    assert lab.has_referee
    assert lab.state_dir == lab_root / ".autoresearch"
    assert not lab.state_dir.exists()  # looking makes nothing


def test_karpathys_layout_is_recognised_unchanged(make_repository: Make) -> None:
    lab = find_lab(make_repository(KARPATHY))
    assert lab.layout is Layout.KARPATHY
    assert not lab.has_referee
    assert (lab.config.lab.editable, lab.config.lab.command) == (("train.py",), "uv run train.py")


def test_anything_else_says_so_in_a_toml(make_repository: Make) -> None:
    toml = '[lab]\neditable = ["fit.jl"]\ncommand = "julia fit.jl"\n[metric]\nname = "rmse"\n'
    lab = find_lab(make_repository({"fit.jl": "", "autoresearch.toml": toml}))
    assert lab.layout is Layout.CUSTOM
    assert lab.config.metric.name == "rmse"


def test_nothing_is_set_up_by_a_prepare_py_that_is_not_there(make_repository: Make) -> None:
    toml = '[lab]\neditable = ["a.py"]\ncommand = "{python} a.py"\n'
    files = {"autoresearch.toml": toml, "a.py": "print(1)\n"}
    root = make_repository(files)
    assert find_lab(root).config.lab.setup == ""
    (root / "prepare.py").touch()
    assert find_lab(root).config.lab.setup == "{python} prepare.py"


def test_spaces_and_other_alphabets_in_the_path(make_repository: Make) -> None:
    root = make_repository(
        {"program.md": "", "prepare.py": "", "training/train.py": ""}, name="ein Labor/実験 β"
    )
    lab = find_lab(root / "training")
    prepare_state(lab)
    assert lab.root == root
    assert lab.db.parent.is_dir()


def test_a_link_and_its_target_are_one_lab(lab_root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(lab_root)
    assert find_lab(tmp_path / "link").marker == find_lab(lab_root).marker


def test_from_a_worktree_or_note_the_lab_around_is_meant(lab_root: Path, git: Callable[..., str]) -> None:
    lab = find_lab(lab_root)
    prepare_state(lab)
    worktree = lab.worktrees_dir / "junior-1"
    git(lab_root, "worktree", "add", "--quiet", "--detach", str(worktree))
    assert find_lab(worktree / "training").root == lab_root
    assert find_lab(lab.notes_dir).root == lab_root


def test_a_named_state_folder_is_remembered(lab_root: Path, tmp_path: Path, git: Callable[..., str]) -> None:
    elsewhere = tmp_path / "local disk" / "state"
    prepare_state(find_lab(lab_root, elsewhere))
    again = find_lab(lab_root)
    assert again.state_dir == elsewhere
    assert again.notes_dir.is_dir()
    assert git(lab_root, "status", "--porcelain") == ""


def test_a_folder_without_git_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotALab, match=r"is not in a git repository; `autoresearch-tui init` makes a lab"):
        find_lab(tmp_path)
    with pytest.raises(NotALab, match="is not a folder"):
        find_lab(tmp_path / "nowhere")


def test_a_repository_of_something_else_says_what_to_do(make_repository: Make) -> None:
    with pytest.raises(NotALab, match=r"has no autoresearch.toml.*`autoresearch-tui init`"):
        find_lab(make_repository({"README.md": "", "training/train.py": ""}))


def test_an_editable_file_that_is_not_there_is_named(make_repository: Make) -> None:
    root = make_repository({"a.py": "", "autoresearch.toml": '[lab]\neditable = ["a.py", "b.py"]\n'})
    with pytest.raises(ConfigError, match=r"autoresearch.toml: \[lab\] editable: there is no b.py"):
        find_lab(root)


def test_a_file_written_by_hand_asks_for_no_set_up_that_is_not_there(make_repository: Make) -> None:
    toml = '[lab]\neditable = ["train.py"]\ncommand = "{python} train.py"\n'
    assert find_lab(make_repository({"autoresearch.toml": toml, "train.py": ""})).config.lab.setup == ""
    prepared = make_repository({"autoresearch.toml": toml, "train.py": "", "prepare.py": ""}, name="prepared")
    assert find_lab(prepared).config.lab.setup == "{python} prepare.py"
