"""The repository as the lab sees it; real git in a temporary folder."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from sessions.errors import GitError, NotARepository
from sessions.git.repository import Change, Repository
from sessions.git.worktrees import Worktrees
from tests.sessions.conftest import git


@pytest.fixture
def worktree(repository: Repository, tmp_path: Path) -> Path:
    path = tmp_path / "worktrees" / "junior-1"
    Worktrees(repository, tmp_path / "lock").reset(path, "main")
    return path


def fingerprint(repository: Repository) -> tuple[object, ...]:
    """Everything of the person's that must never change."""
    root = repository.root
    files = {
        path: path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }
    return (
        files,
        (repository.git_dir / "config").read_bytes(),
        (repository.git_dir / "index").read_bytes(),
        (repository.git_dir / "HEAD").read_bytes(),
        git(root, "stash", "list"),
        git(root, "rev-parse", "main"),
        git(root, "status", "--porcelain"),
    )


def commit(repository: Repository, worktree: Path, text: str, message: str = "Try") -> str:
    (worktree / "training" / "train.py").write_text(text)
    return repository.commit_worktree(worktree, ["training/train.py"], message, "junior-1")


def test_find_from_below_and_outside(repository: Repository, tmp_path: Path) -> None:
    assert Repository.find(repository.root / "training").root == repository.root
    with pytest.raises(NotARepository, match="git init"):
        Repository.find(tmp_path)


def test_unknown_revision_is_named_in_one_line(repository: Repository) -> None:
    assert not repository.exists("nonsense")
    with pytest.raises(GitError) as caught:
        repository.read_file("nonsense", "prepare.py")
    assert "nonsense" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "invalid object name" in str(caught.value)
    with pytest.raises(GitError):
        repository.rev_parse("nonsense")


def test_reading(repository: Repository) -> None:
    assert repository.current_branch() == "main"
    assert repository.exists("main")
    assert repository.rev_parse("main") == git(repository.root, "rev-parse", "HEAD")
    assert repository.read_file("main", "training/train.py") == "LR = 1\nDEPTH = 2\n"
    assert repository.list_files("main") == ("prepare.py", "training/train.py")
    assert repository.read_files("main", repository.list_files("main")) == {
        "prepare.py": "# the referee\n",
        "training/train.py": "LR = 1\nDEPTH = 2\n",
    }
    with pytest.raises(GitError, match=r"gone\.py"):
        repository.read_files("main", ["gone.py"])
    git(repository.root, "checkout", "--quiet", "--detach")
    assert repository.current_branch() is None
    git(repository.root, "checkout", "--quiet", "main")
    assert not repository.is_dirty()
    (repository.root / "prepare.py").write_text("# changed\n")
    assert repository.is_dirty()


def test_commit_takes_exactly_its_paths_and_leaves_the_person_alone(
    repository: Repository, worktree: Path
) -> None:
    (repository.root / "prepare.py").write_text("# the person's own unfinished edit\n")
    git(repository.root, "add", "prepare.py")
    before = fingerprint(repository)
    (worktree / "prepare.py").write_text("# tampered\n")
    git(worktree, "add", "prepare.py")  # staged by an agent; must not slip into the commit
    sha = commit(repository, worktree, "LR = 3\nDEPTH = 2\n", "Triple the rate\n\nBecause.")
    assert repository.changed_paths("main", sha) == (Change("M", "100644", "100644", "training/train.py"),)
    assert repository.numstat("main", sha) == (1, 1)
    assert "+LR = 3" in repository.diff("main", sha)
    assert repository.diff("main", sha, ["prepare.py"]) == ""
    assert repository.log(sha, "main") == ((sha, "Triple the rate"),)
    assert git(worktree, "log", "-1", "--format=%an") == "junior-1"
    assert fingerprint(repository) == before


def test_commit_refuses_nothing_and_branches(repository: Repository, worktree: Path) -> None:
    with pytest.raises(GitError, match="nothing changed"):
        repository.commit_worktree(worktree, ["training/train.py"], "Nothing", "junior-1")
    with pytest.raises(GitError, match="on a branch"):
        repository.commit_worktree(repository.root, ["training/train.py"], "No", "junior-1")


def test_hooks_signing_and_environment_do_not_interfere(
    repository: Repository, worktree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hook in ("pre-commit", "commit-msg", "post-commit", "reference-transaction"):
        file = repository.git_dir / "hooks" / hook
        file.parent.mkdir(exist_ok=True)
        file.write_text("#!/bin/sh\nexit 1\n")
        file.chmod(0o755)
    git(repository.root, "config", "commit.gpgsign", "true")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    sha = commit(repository, worktree, "LR = 4\n")
    repository.set_ref("refs/autoresearch/exp/e0001", sha, None)
    assert repository.refs("refs/autoresearch") == {"refs/autoresearch/exp/e0001": sha}


def test_changed_paths_sees_modes_symlinks_and_deletions(repository: Repository, worktree: Path) -> None:
    (worktree / "prepare.py").unlink()
    (worktree / "training" / "train.py").chmod(0o755)
    (worktree / "link ü").symlink_to("/etc/passwd")
    paths = ["prepare.py", "training/train.py", "link ü"]
    sha = repository.commit_worktree(worktree, paths, "Odd", "junior-1")
    assert set(repository.changed_paths("main", sha)) == {
        Change("D", "100644", "000000", "prepare.py"),
        Change("M", "100644", "100755", "training/train.py"),
        Change("A", "000000", "120000", "link ü"),
    }


def _race(root: Path, ref: str, new: str, old: str, wins: multiprocessing.Queue[bool]) -> None:
    try:
        Repository(root).set_ref(ref, new, old)
        wins.put(True)
    except GitError:
        wins.put(False)


def test_set_ref_is_compare_and_swap(repository: Repository, worktree: Path) -> None:
    base, ref = repository.rev_parse("main"), "refs/heads/autoresearch/t-junior-1"
    repository.set_ref(ref, base, None)
    with pytest.raises(GitError):
        repository.set_ref(ref, base, None)  # exists already
    news = [commit(repository, worktree, f"LR = {i + 5}\n") for i in range(4)]
    wins: multiprocessing.Queue[bool] = multiprocessing.Queue()
    racers = [
        multiprocessing.Process(target=_race, args=(repository.root, ref, new, base, wins)) for new in news
    ]
    for racer in racers:
        racer.start()
    results = [wins.get(timeout=30) for _ in racers]
    for racer in racers:
        racer.join()
    assert sorted(results) == [False, False, False, True]


def test_notes_replace_and_change_no_hash(repository: Repository) -> None:
    sha = repository.rev_parse("main")
    repository.add_note(sha, "val_bpb 1.9\n")
    repository.add_note(sha, "val_bpb 1.8\n")
    assert repository.read_note(sha) == "val_bpb 1.8\n"
    assert repository.rev_parse("main") == sha


def test_patch_applies_by_three_way_or_leaves_the_head(repository: Repository, worktree: Path) -> None:
    middle = "WIDTH = 64\nHEADS = 4\nSEED = 1\n"
    base = commit(repository, worktree, f"LR = 1\n{middle}DEPTH = 2\n")
    patch = repository.diff(base, commit(repository, worktree, f"LR = 9\n{middle}DEPTH = 2\n"))
    git(worktree, "checkout", "--quiet", "--detach", base)
    commit(repository, worktree, f"LR = 1\n{middle}DEPTH = 8\n")
    assert repository.apply_patch(worktree, patch)
    assert (worktree / "training/train.py").read_text() == f"LR = 9\n{middle}DEPTH = 8\n"
    merged = commit(repository, worktree, f"LR = 7\n{middle}DEPTH = 8\n")
    assert not repository.apply_patch(worktree, patch)
    assert repository.status_porcelain(worktree) == ""
    assert git(worktree, "rev-parse", "HEAD") == merged


def test_exclude_is_written_once_and_ignores(repository: Repository) -> None:
    (repository.root / ".autoresearch").mkdir()
    (repository.root / ".autoresearch" / "lab.db").write_text("")
    for _ in range(2):
        repository.add_to_exclude(".autoresearch/")
    lines = (repository.git_dir / "info" / "exclude").read_text().splitlines()
    assert lines.count(".autoresearch/") == 1
    assert repository.status_porcelain(repository.root) == ""


def test_checked_out_at_sees_the_person_and_no_detached_worktree(
    repository: Repository, worktree: Path
) -> None:
    assert repository.checked_out_at("main") == repository.root
    git(repository.root, "branch", "other")
    assert repository.checked_out_at("other") is None


def test_a_repository_of_another_user_is_told_with_gits_own_remedy(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository.root
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(GitError) as refused:
        Repository(root)
    words = str(refused.value)
    assert (
        "dubious ownership" in words
        and f"`git config --global --add safe.directory {root}` allows it" in words
    )
    assert "\n" not in words
