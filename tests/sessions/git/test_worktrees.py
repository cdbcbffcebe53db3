"""Worktrees under races, leftovers and hostile contents."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from sessions.errors import WorktreeError
from sessions.git.repository import Repository
from sessions.git.worktrees import Worktrees
from tests.sessions.conftest import git


@pytest.fixture
def worktrees(repository: Repository, tmp_path: Path) -> Worktrees:
    return Worktrees(repository, tmp_path / "state" / "worktrees.lock")


@pytest.fixture
def bench(worktrees: Worktrees, tmp_path: Path) -> Path:
    path = tmp_path / "benches" / "cpu-0"
    worktrees.reset(path, "main")
    return path


def contents(path: Path) -> set[str]:
    return {str(entry.relative_to(path)) for entry in path.rglob("*") if entry.name != ".git"}


CLEAN = {"prepare.py", "training", "training/train.py"}


def _churn(root: Path, lock: Path, path: Path, together: Barrier) -> None:
    worktrees = Worktrees(Repository(root), lock)
    together.wait(60)
    for _ in range(8):
        worktrees.reset(path, "main")
        shutil.rmtree(path)
    worktrees.reset(path, "main")


def test_parallel_worktrees_do_not_race(repository: Repository, tmp_path: Path) -> None:
    # Folders of one name: git then looks for a free number for each, which is where it races itself.
    paths = [tmp_path / f"junior-{i}" / "tree" for i in range(8)]
    context = get_context("fork")
    together = context.Barrier(len(paths))
    churners = [
        context.Process(target=_churn, args=(repository.root, tmp_path / "lock", path, together))
        for path in paths
    ]
    for churner in churners:
        churner.start()
    for churner in churners:
        churner.join(120)
    assert [churner.exitcode for churner in churners] == [0] * len(paths)
    assert set(Worktrees(repository, tmp_path / "lock").list()) == set(paths)
    assert all(contents(path) == CLEAN for path in paths)


def test_reset_remakes_a_lost_and_a_half_made_one(
    repository: Repository, worktrees: Worktrees, bench: Path
) -> None:
    shutil.rmtree(bench)
    worktrees.reset(bench, "main")  # still registered and locked
    assert contents(bench) == CLEAN
    (repository.git_dir / "worktrees" / bench.name / "index").unlink()  # killed while it checked out
    (bench / "prepare.py").unlink()
    worktrees.reset(bench, "main")
    assert contents(bench) == CLEAN
    shutil.rmtree(repository.git_dir / "worktrees")  # the registration is gone, the folder is not
    worktrees.reset(bench, "main")
    assert contents(bench) == CLEAN
    assert worktrees.list() == (bench,)


def test_a_moved_lab_keeps_its_worktrees(repository: Repository, tmp_path: Path) -> None:
    Worktrees(repository, tmp_path / "lock").reset(repository.root / ".autoresearch" / "w", "main")
    moved = repository.root.rename(tmp_path / "moved")
    worktrees = Worktrees(Repository(moved), tmp_path / "lock")
    worktrees.reset(moved / ".autoresearch" / "w", "main")
    assert contents(moved / ".autoresearch" / "w") == CLEAN
    assert worktrees.list() == (moved / ".autoresearch" / "w",)


def test_something_else_in_the_way_is_left_alone(worktrees: Worktrees, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "draft.tex").write_text("years of work")
    with pytest.raises(WorktreeError, match="move it elsewhere"):
        worktrees.reset(tmp_path / "thesis", "main")
    assert (tmp_path / "thesis" / "draft.tex").read_text() == "years of work"


def test_stale_index_lock_goes_a_held_one_is_waited_for(
    repository: Repository, worktrees: Worktrees, bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = repository.git_dir / "worktrees" / bench.name / "index.lock"
    lock.touch()
    worktrees.reset(bench, "main")
    assert not lock.exists()
    lock.touch()
    # A git that sits in the worktree, waiting on its standard input.
    owner = subprocess.Popen(["git", "hash-object", "--stdin"], cwd=bench, stdin=subprocess.PIPE)
    try:
        monkeypatch.setattr("sessions.git.worktrees._PATIENCE_S", 0.1)
        with pytest.raises(WorktreeError, match=str(owner.pid)):
            worktrees.reset(bench, "main")
        assert lock.exists()
    finally:
        owner.communicate(timeout=10)


def test_reset_undoes_whatever_a_run_left(repository: Repository, worktrees: Worktrees, bench: Path) -> None:
    outside = repository.root.parent / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (bench / "training" / "train.py").write_text("LR = 66\n")
    git(bench, "update-index", "--skip-worktree", "training/train.py")
    (bench / "prepare.py").unlink()
    (bench / "prepare.py").mkdir()  # a folder where a file belongs
    (bench / "prepare.py" / "deep").mkdir()
    Repository.init(bench / "nested")
    (bench / "nested" / "junk").write_text("x")
    (bench / "escape").symlink_to(outside)
    (bench / "training" / "loop").symlink_to(bench)
    (bench / "read-only" / "below").mkdir(parents=True)
    (bench / "read-only" / "below" / "file").write_text("x")
    (bench / "read-only" / "below" / "file").chmod(0o400)
    (bench / "read-only" / "below").chmod(0o500)
    (bench / "read-only").chmod(0o500)
    (bench / "odd \n name").write_text("x")
    (bench / ".gitignore").write_text("*\n")
    git(bench, "checkout", "--quiet", "-b", "stray")
    worktrees.reset(bench, "main")
    assert contents(bench) == CLEAN
    assert (bench / "training" / "train.py").read_text() == "LR = 1\nDEPTH = 2\n"
    assert (outside / "precious").exists()
    assert subprocess.run(["git", "symbolic-ref", "-q", "HEAD"], cwd=bench).returncode == 1


def _leave_read_only_junk(bench: Path) -> None:
    (bench / "ro" / "below").mkdir(parents=True)
    (bench / "ro" / "below" / "file").write_text("x")
    for folder in (bench / "ro" / "below", bench / "ro", bench):
        folder.chmod(0o500)


def _clean_up_as_nobody(home: Path) -> None:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    os.environ["HOME"] = str(home)
    lab = Repository.init(home / "lab")
    (lab.root / "a").write_text("a")
    lab.commit_first(["a"], "First")
    worktrees, bench = Worktrees(lab, home / "lock"), home / "bench"
    worktrees.reset(bench, "main")
    _leave_read_only_junk(bench)
    worktrees.reset(bench, "main")
    assert not (bench / "ro").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_read_only_junk_goes_for_an_ordinary_user_too(repository: Repository) -> None:
    # Forked, with everything imported: nobody may not read the Python of root's home.
    with tempfile.TemporaryDirectory() as home:
        os.chown(home, 65534, 65534)
        child = get_context("fork").Process(target=_clean_up_as_nobody, args=(Path(home),))
        child.start()
        child.join(60)
    assert child.exitcode == 0
