"""Carrying a change over and advancing a branch, on real repositories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sessions.errors import GitError
from sessions.git.fast_forward import Landing, advance_branch
from sessions.git.merge import Conflict, commit_tree, merge_change, person_identity, tree_of
from sessions.git.repository import Repository, Signature
from tests.worlds.labs import git

WHO = Signature("A Person", "person@example.org", 1_700_000_000)
LINES = [f"line {n}" for n in range(1, 21)]


def write(folder: Path, text: list[str], message: str, name: str = "train.py") -> str:
    (folder / name).write_text("\n".join(text) + "\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD").strip()


def changed(number: int, text: str, lines: list[str] = LINES) -> list[str]:
    return [text if n == number else line for n, line in enumerate(lines, start=1)]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository.init(tmp_path / "repo")
    write(made.root, LINES, "first")
    return made


def candidate_of(repository: Repository, number: int = 18, text: str = "better") -> tuple[str, str]:
    """A commit beside main that changes one line: (base, candidate)."""
    base = repository.rev_parse("main")
    git(repository.root, "checkout", "-q", "--detach")
    sha = write(repository.root, changed(number, text), "candidate")
    git(repository.root, "checkout", "-q", "main")
    return base, sha


def landed_commit(repository: Repository) -> str:
    base, candidate = candidate_of(repository)
    return commit_tree(repository, tree_of(repository, candidate), base, "promoted", WHO)


def test_a_change_is_carried_over_to_a_main_that_moved(repository: Repository) -> None:
    base, candidate = candidate_of(repository)
    main = write(repository.root, changed(2, "of the person"), "person")
    before = git(repository.root, "status", "--porcelain"), (repository.git_dir / "index").read_bytes()
    merged = merge_change(repository, main, base, candidate)
    assert merged.conflicts == ()
    sha = commit_tree(repository, merged.tree, main, "x", WHO)
    lines = repository.read_file(sha, "train.py").splitlines()
    assert (lines[1], lines[17]) == ("of the person", "better")
    after = git(repository.root, "status", "--porcelain"), (repository.git_dir / "index").read_bytes()
    assert before == after


def test_files_that_a_change_adds_and_removes_are_carried_over(repository: Repository) -> None:
    base = write(repository.root, ["old"], "old", "old.py")
    git(repository.root, "checkout", "-q", "--detach")
    git(repository.root, "rm", "-q", "old.py")
    candidate = write(repository.root, ["new"], "candidate", "new.py")
    git(repository.root, "checkout", "-q", "main")
    main = write(repository.root, changed(2, "of the person"), "person")
    merged = merge_change(repository, main, base, candidate)
    assert merged.conflicts == ()
    sha = commit_tree(repository, merged.tree, main, "x", WHO)
    assert repository.list_files(sha) == ("new.py", "train.py")
    assert "of the person" in repository.read_file(sha, "train.py")


def test_a_conflict_names_file_and_line(repository: Repository) -> None:
    base, candidate = candidate_of(repository)
    main = write(repository.root, changed(18, "of the person", ["new", *LINES][1:]), "person")
    merged = merge_change(repository, main, base, candidate)
    assert merged.conflicts == (Conflict("train.py", 18),)
    assert str(merged.conflicts[0]) == "train.py:18"


def test_a_file_that_main_deleted_conflicts(repository: Repository) -> None:
    base, candidate = candidate_of(repository)
    git(repository.root, "rm", "-q", "train.py")
    main = write(repository.root, ["x"], "gone", "other.py")
    assert merge_change(repository, main, base, candidate).conflicts == (Conflict("train.py"),)


def test_a_link_is_never_merged(repository: Repository) -> None:
    base = repository.rev_parse("main")
    git(repository.root, "checkout", "-q", "--detach")
    (repository.root / "train.py").unlink()
    (repository.root / "train.py").symlink_to("/etc/passwd")
    git(repository.root, "commit", "-qam", "link")
    with pytest.raises(GitError, match="link"):
        merge_change(repository, base, base, git(repository.root, "rev-parse", "HEAD").strip())


def test_an_index_that_a_hook_names_is_left_alone(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, candidate = candidate_of(repository)
    foreign = tmp_path / "foreign-index"
    monkeypatch.setitem(os.environ, "GIT_INDEX_FILE", str(foreign))
    assert merge_change(repository, base, base, candidate).tree == tree_of(repository, candidate)
    assert not foreign.exists()


def test_the_same_signature_makes_the_same_commit(repository: Repository) -> None:
    assert landed_commit(repository) == commit_tree(
        repository,
        tree_of(repository, landed_commit(repository)),
        repository.rev_parse("main"),
        "promoted",
        WHO,
    )


def test_the_person_is_who_git_says(repository: Repository) -> None:
    git(repository.root, "config", "user.name", "A Person")
    git(repository.root, "config", "user.email", "person@example.org")
    assert person_identity(repository) == ("A Person", "person@example.org")


def test_a_clean_checkout_of_main_is_advanced_with_its_files(repository: Repository) -> None:
    commit = landed_commit(repository)
    base = repository.rev_parse("main")
    for _ in range(2):
        assert advance_branch(repository, "main", commit, base).landing is Landing.LANDED
    assert repository.rev_parse("main") == commit
    assert git(repository.root, "status", "--porcelain") == ""
    assert "better" in (repository.root / "train.py").read_text()


def test_a_dirty_checkout_keeps_its_changes(repository: Repository) -> None:
    write(repository.root, ["notes"], "notes", "notes.txt")
    commit = landed_commit(repository)
    (repository.root / "notes.txt").write_text("mine\n")
    landed = advance_branch(repository, "main", commit, repository.rev_parse("main"))
    assert landed.landing is Landing.LANDED and repository.rev_parse("main") == commit
    assert git(repository.root, "status", "--porcelain") == " M notes.txt\n"
    assert (repository.root / "notes.txt").read_text() == "mine\n"


def test_a_dirty_overlap_is_refused_and_nothing_moves(repository: Repository) -> None:
    commit, base = landed_commit(repository), repository.rev_parse("main")
    (repository.root / "train.py").write_text("mine\n")
    git(repository.root, "config", "merge.autostash", "true")
    landed = advance_branch(repository, "main", commit, base)
    assert landed.landing is Landing.REFUSED and "train.py" in landed.reason
    assert repository.rev_parse("main") == base
    assert (repository.root / "train.py").read_text() == "mine\n"


def test_a_branch_that_is_nowhere_checked_out_moves_by_itself(repository: Repository) -> None:
    commit, base = landed_commit(repository), repository.rev_parse("main")
    git(repository.root, "checkout", "-q", "-b", "elsewhere")
    assert advance_branch(repository, "main", commit, base).landing is Landing.LANDED
    assert repository.rev_parse("main") == commit
    assert git(repository.root, "status", "--porcelain") == ""


def test_a_branch_in_a_linked_worktree_is_advanced_there(repository: Repository, tmp_path: Path) -> None:
    commit, base = landed_commit(repository), repository.rev_parse("main")
    git(repository.root, "checkout", "-q", "-b", "elsewhere")
    git(repository.root, "worktree", "add", "-q", str(tmp_path / "linked"), "main")
    assert advance_branch(repository, "main", commit, base).landing is Landing.LANDED
    assert "better" in (tmp_path / "linked" / "train.py").read_text()
    assert "better" not in (repository.root / "train.py").read_text()


def test_a_main_that_moved_is_left_alone(repository: Repository) -> None:
    commit, base = landed_commit(repository), repository.rev_parse("main")
    main = write(repository.root, ["notes"], "notes", "notes.txt")
    assert advance_branch(repository, "main", commit, base).landing is Landing.MOVED
    assert repository.rev_parse("main") == main


def test_a_branch_in_the_middle_of_a_rebase_is_left_alone(repository: Repository) -> None:
    commit = landed_commit(repository)
    git(repository.root, "checkout", "-q", "-b", "topic", "main")
    write(repository.root, changed(5, "topic"), "topic")
    git(repository.root, "checkout", "-q", "main")
    base = write(repository.root, changed(5, "person"), "person")
    (repository.root / "rebase.sh").write_text("")
    with pytest.raises(Exception, match="rebase"):
        git(repository.root, "rebase", "topic")
    mine = commit_tree(repository, tree_of(repository, commit), base, "promoted", WHO)
    assert advance_branch(repository, "main", mine, base).landing is Landing.REFUSED
    assert repository.rev_parse("main") == base
