"""`init`: labs out of nothing, and out of repositories that are there."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sessions.git.repository import Repository
from sessions.git.worktrees import Worktrees
from supervisor.errors import LabError
from supervisor.init.make_lab import (
    InitReport,
    expect_whole,
    init_folder,
    preset_named,
    repository_for,
    write_lab,
)
from supervisor.init.survey import survey
from supervisor.lab.paths import Layout, find_lab
from supervisor.lab.presets import template_path
from supervisor.recognition.finding import Fact

Make = Callable[..., Path]
Git = Callable[..., str]


def init_lab(directory: Path, preset: str | None = None) -> InitReport:
    """Make `directory` a lab as `init --yes` does."""
    chosen = preset_named(preset)
    repository = repository_for(directory)
    if repository is None:
        return init_folder(directory.expanduser().resolve(), chosen)
    seen = survey(repository)
    return write_lab(seen.root, expect_whole(seen.root, seen.finding))


def test_an_empty_folder_becomes_a_lab_with_one_commit(tmp_path: Path, git: Git) -> None:
    report = init_lab(tmp_path / "new" / "lab")
    assert git(report.root, "rev-list", "--count", "HEAD").strip() == "1"
    assert git(report.root, "rev-parse", "HEAD").strip() == report.commit
    assert git(report.root, "branch", "--show-current").strip() == "main"
    assert git(report.root, "status", "--porcelain") == ""
    lab = find_lab(report.root)
    assert (lab.layout, lab.has_referee) == (Layout.OURS, True)
    for file in ("program.md", "prepare.py", "training/corpus.py", "training/train.py"):
        assert (report.root / file).read_bytes() == (template_path() / file).read_bytes()


def test_a_plain_folders_own_files_stay_and_are_not_committed(tmp_path: Path, git: Git) -> None:
    (tmp_path / "corpus.txt").write_text("mine")
    (tmp_path / ".gitignore").write_text("*.tmp\n")
    report = init_lab(tmp_path)
    assert (tmp_path / ".gitignore").read_text() == "*.tmp\n"
    files = ["prepare.py", "program.md", "training/corpus.py", "training/train.py"]
    assert git(tmp_path, "ls-files").split() == files
    assert set(report.created) == set(files)


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
        ({"src/train.py": "print(f'loss: {1}')"}, "src/train.py", "{python} src/train.py"),
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
    root = make_repository({"train.py": "print('loss:', 1)"})
    init_lab(root)
    with pytest.raises(LabError, match="is a lab already"):
        init_lab(root)
    with pytest.raises(
        LabError, match=r"is known as a lab; say --editable FILE --command 'LINE' --metric NAME"
    ):
        init_lab(make_repository({"paper.tex": ""}, name="paper"))


def test_an_unknown_preset_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"there is no preset 'h9000'; known: h100, .*, cpu"):
        init_lab(tmp_path / "lab", preset="h9000")
    assert not (tmp_path / "lab").exists()


def test_what_the_files_do_not_tell_is_named_with_its_flag(make_repository: Make) -> None:
    with pytest.raises(
        LabError, match=r"do not tell what the printed metric is called and .*; say --metric NAME"
    ):
        init_lab(make_repository({"train.py": "print('done')"}))


def test_bare_and_empty_repositories_are_refused_with_the_line_that_helps(tmp_path: Path, git: Git) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "bare.git")
    with pytest.raises(LabError, match=r"bare.git is a bare repository, .*`git clone` it and init there"):
        init_lab(tmp_path / "bare.git")
    git(tmp_path, "init", "--quiet", "unborn")
    (tmp_path / "unborn" / "train.py").write_text("print('loss:', 1)")
    with pytest.raises(LabError, match=r"has no commit yet; `git commit` the files first"):
        init_lab(tmp_path / "unborn")


def test_from_a_folder_inside_the_whole_repository_is_meant(make_repository: Make) -> None:
    root = make_repository({"train.py": "print('loss:', 1)", "deep/er/notes.md": ""})
    assert init_lab(root / "deep" / "er").root == root


def test_a_submodule_is_a_lab_of_its_own(make_repository: Make, git: Git, tmp_path: Path) -> None:
    inner = make_repository({"train.py": "print('loss:', 1)"}, name="inner")
    outer = make_repository({"README.md": ""}, name="outer")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "model")
    report = init_lab(outer / "model")
    assert report.root == outer / "model"
    assert any("alone, not the repository around it" in note for note in _notes(make_copy(outer / "model")))
    bench = tmp_path / "bench"
    Worktrees(Repository.find(report.root), tmp_path / "lock").reset(bench, "HEAD")
    assert (bench / "train.py").is_file(), "runs have a place of their own there too"


def make_copy(root: Path) -> Path:
    (root / "autoresearch.toml").unlink()
    return root


def _notes(root: Path) -> tuple[str, ...]:
    return survey(Repository.find(root)).notes


def test_uncommitted_changes_and_another_branch_are_told(make_repository: Make, git: Git) -> None:
    root = make_repository({"train.py": "print('loss:', 1)"})
    (root / "train.py").write_text("print('loss:', 2)")
    (root / "untracked.py").write_text("")
    assert _notes(root) == ("not committed: train.py; runs start from what is committed",)
    git(root, "checkout", "--quiet", "-b", "mine")
    git(root, "commit", "--quiet", "--all", "--message", "mine")
    mine = git(root, "rev-parse", "--short=7", "HEAD").strip()
    assert _notes(root) == (f"runs start from mine at {mine}, which is checked out",)
    git(root, "checkout", "--quiet", "--detach", "main")
    main = git(root, "rev-parse", "--short=7", "HEAD").strip()
    assert _notes(root) == (f"runs start from commit {main}, which is checked out",)


def test_what_runs_would_not_see_is_refused_with_what_to_do(make_repository: Make) -> None:
    root = make_repository({"README.md": ""})
    (root / ".auto").mkdir()
    (root / ".auto" / "measure.sh").write_text("echo METRIC ms=1")
    with pytest.raises(LabError, match=r"`git add -f .auto/measure.sh`, commit, and init again"):
        init_lab(root)


def test_a_program_of_the_lab_that_is_not_here_is_told(
    make_repository: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = make_repository({"Makefile": "bench:\n\t./x\n", "src/x.c": 'printf("ms: %d", 1);'})
    assert _notes(root) == ()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(shutil.which("git") or "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert _notes(root) == ("make is not installed here; runs need it",)


def test_a_program_that_is_there_is_never_overwritten(make_repository: Make) -> None:
    root = make_repository({"train.py": "print('loss:', 1)", "program.md": "mine"})
    finding = survey(Repository.find(root)).finding
    assert finding is not None
    assert write_lab(root, finding, "theirs").created == ("autoresearch.toml",)
    assert (root / "program.md").read_text() == "mine"


def test_what_the_lab_could_not_read_is_not_written(make_repository: Make) -> None:
    root = make_repository({"train.py": "print('loss:', 1)"})
    finding = survey(Repository.find(root)).finding
    assert finding is not None
    with pytest.raises(LabError, match=r"\[lab\] editable"):
        write_lab(root, dataclasses.replace(finding, editable=("../outside.py",)))
    assert not (root / "autoresearch.toml").exists()


def test_a_link_that_would_be_edited_is_followed_to_its_file(make_repository: Make, git: Git) -> None:
    root = make_repository({"real/solution.py": "", "evaluate.py": "import solution\nprint(f'loss: {1}')\n"})
    (root / "solution.py").symlink_to("real/solution.py")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=link")
    finding = survey(Repository.find(root)).finding
    assert finding is not None and finding.editable == ("real/solution.py",)
    assert Fact.EDITABLE in finding.guesses
