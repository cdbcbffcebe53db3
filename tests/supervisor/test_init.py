"""`init`: labs out of nothing, and out of repositories that are there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.errors import LabError
from supervisor.init import init_lab, template_path
from supervisor.lab import Layout, find_lab

Make = Callable[..., Path]
Git = Callable[..., str]


def test_an_empty_folder_becomes_a_lab_with_one_commit(tmp_path: Path, git: Git) -> None:
    report = init_lab(tmp_path / "new" / "lab")
    assert git(report.root, "rev-list", "--count", "HEAD").strip() == "1"
    assert git(report.root, "rev-parse", "HEAD").strip() == report.commit
    assert git(report.root, "branch", "--show-current").strip() == "main"
    assert git(report.root, "status", "--porcelain") == ""
    lab = find_lab(report.root)
    assert (lab.layout, lab.has_referee) == (Layout.OURS, True)
    for file in ("program.md", "prepare.py", "training/train.py"):
        assert (report.root / file).read_bytes() == (template_path() / file).read_bytes()


def test_a_plain_folders_own_files_stay_and_are_not_committed(tmp_path: Path, git: Git) -> None:
    (tmp_path / "corpus.txt").write_text("mine")
    (tmp_path / ".gitignore").write_text("*.tmp\n")
    report = init_lab(tmp_path)
    assert (tmp_path / ".gitignore").read_text() == "*.tmp\n"
    assert git(tmp_path, "ls-files").split() == ["prepare.py", "program.md", "training/train.py"]
    assert set(report.created) == {"prepare.py", "program.md", "training/train.py"}


def test_inside_another_repository_a_new_folder_is_a_lab_of_its_own(make_repository: Make, git: Git) -> None:
    outer = make_repository({"README.md": ""})
    report = init_lab(outer / "lab")
    assert git(report.root, "rev-parse", "--show-toplevel").strip() == str(outer / "lab")


def test_a_folder_with_a_canvas_but_no_git_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "prepare.py").write_text("mine")
    with pytest.raises(LabError, match=r"has a prepare.py already and is not in git; `git init`"):
        init_lab(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["prepare.py"]


@pytest.mark.parametrize(
    ("files", "canvas", "command"),
    [
        ({"program.md": "", "prepare.py": "", "train.py": ""}, "train.py", "uv run train.py"),
        (
            {"program.md": "", "prepare.py": "", "training/train.py": ""},
            "training/train.py",
            "{python} training/train.py",
        ),
        ({"src/train.py": ""}, "src/train.py", "{python} src/train.py"),
    ],
)
def test_a_repository_gets_a_toml_for_what_it_has_and_no_commit(
    make_repository: Make, git: Git, files: dict[str, str], canvas: str, command: str
) -> None:
    root = make_repository(files)
    head = git(root, "rev-parse", "HEAD")
    report = init_lab(root)
    assert report.commit is None
    assert git(root, "rev-parse", "HEAD") == head
    assert git(root, "status", "--porcelain").split() == ["??", "autoresearch.toml"]
    config = find_lab(root).config
    assert (config.lab.editable, config.lab.command) == ((canvas,), command)


def test_a_second_init_and_an_unknown_repository_are_errors(make_repository: Make) -> None:
    root = make_repository({"train.py": ""})
    init_lab(root)
    with pytest.raises(LabError, match="is a lab already"):
        init_lab(root)
    with pytest.raises(LabError, match=r"has none of training/train.py, .*write an autoresearch.toml"):
        init_lab(make_repository({"paper.tex": ""}, name="paper"))


def test_an_unknown_preset_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="there is no preset 'h9000'; known: cpu"):
        init_lab(tmp_path / "lab", preset="h9000")
    assert not (tmp_path / "lab").exists()
