"""Detached full worktrees: made and set to a commit; one at a time, because git races itself."""

from __future__ import annotations

import os
import time
from pathlib import Path

from sessions.errors import GitError, WorktreeError
from sessions.files import make_writable, remove_folder
from sessions.git.command import ask_git, run_git
from sessions.git.repository import Repository
from sessions.locks import FOR_EVER, held

_REASON = "belongs to autoresearch-tui"
_PATIENCE_S = 10.0  # for a git that still works in a worktree we want to reset


class Worktrees:
    """The lab's own worktrees of a repository, serialised through one lock file."""

    def __init__(self, repository: Repository, lock_path: Path) -> None:
        self._repository = repository
        self._lock_path = lock_path

    def reset(self, path: Path, commit: str) -> None:
        """Make the worktree at `path` exactly `commit`: nothing changed, nothing extra, HEAD detached.

        A missing or broken one is made. Raises WorktreeError, also when something else is in the way.
        """
        with held(self._lock_path, FOR_EVER):
            self._ensure(path, commit)
            administration = self._administration(path)
            assert administration is not None
            # A fresh index: flags like skip-worktree in the old one would hide a changed file from git.
            (administration / "index").unlink(missing_ok=True)
            try:
                self._set_to(path, commit)
            except GitError:
                make_writable(path)
                try:
                    self._set_to(path, commit)
                except GitError as error:
                    raise WorktreeError(f"{path} cannot be reset: {error}") from None

    def list(self) -> tuple[Path, ...]:
        """The worktrees that this lab made, whether or not their folders are still there."""
        return tuple(
            Path(entry["worktree"])
            for entry in self._repository.worktrees()
            if entry.get("locked", "").strip('"') == _REASON
        )

    def remove(self, path: Path) -> None:
        """Remove a worktree of this lab, whatever lies in it; its commits stay. Raises WorktreeError."""
        with held(self._lock_path, FOR_EVER):
            if path not in self.list():
                raise WorktreeError(f"{path} is no worktree of this lab")
            make_writable(path)
            try:
                # Twice --force: it is locked, and there may be changes.
                self._repository.ask("worktree", "remove", "--force", "--force", str(path))
            except GitError as error:
                raise WorktreeError(f"{path} cannot be removed: {error}") from None

    # Everything below runs under the lock of `reset`.

    def _ensure(self, path: Path, commit: str) -> None:
        if not self._is_good(path) and not self._repaired(path):
            self._clear_the_way(path)
            try:
                # Twice --force: the path may still be registered, and locked, from a half-made one.
                self._repository.ask(
                    "worktree", "add", "--quiet", "--detach", "--force", "--force",
                    "--lock", "--reason", _REASON, str(path), commit,
                )  # fmt: skip
            except GitError as error:
                raise WorktreeError(f"{path} cannot be made: {error}") from None
        self._drop_stale_locks(path)

    def _set_to(self, path: Path, commit: str) -> None:
        ask_git(path, "checkout", "--quiet", "--detach", "--force", commit)
        # Twice -f: a single one stops at nested repositories.
        ask_git(path, "clean", "--quiet", "-ffdx")

    def _administration(self, path: Path) -> Path | None:
        """Where git keeps the index of the worktree at `path`; None when that is no worktree."""
        try:
            text = (path / ".git").read_text(encoding="utf-8")
        except OSError:
            return None
        folder = path / text.removeprefix("gitdir:").strip()
        return folder if folder.parent.name == "worktrees" else None

    def _is_good(self, path: Path) -> bool:
        folder = self._administration(path)
        if folder is None or folder.parent.parent.resolve() != self._repository.git_dir.resolve():
            return False
        try:
            recorded = (folder / (folder / "gitdir").read_text(encoding="utf-8").strip()).parent
        except OSError:
            return False
        whole = (folder / "index").exists() and recorded.resolve() == path.resolve()
        return whole and run_git(path, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").status == 0

    def _repaired(self, path: Path) -> bool:
        """Whether git could mend the links of a worktree that was moved, with the lab or alone."""
        folder = self._administration(path)
        if folder is None or not (self._repository.git_dir / "worktrees" / folder.name).is_dir():
            return False
        run_git(self._repository.root, "worktree", "repair", str(path))
        return self._is_good(path)

    def _clear_the_way(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            return
        if not os.path.lexists(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            return
        if self._administration(path) is None:
            raise WorktreeError(f"{path} is in the way and no worktree of this lab; move it elsewhere")
        remove_folder(path)

    def _drop_stale_locks(self, path: Path) -> None:
        folder = self._administration(path)
        assert folder is not None
        deadline = time.monotonic() + _PATIENCE_S
        for name in ("index.lock", "HEAD.lock"):
            while (folder / name).exists():
                owner = _git_at_work_in(path)
                if owner is None:
                    (folder / name).unlink(missing_ok=True)
                elif time.monotonic() > deadline:
                    raise WorktreeError(f"git (process {owner}) still works in {path}; end it and try again")
                else:
                    time.sleep(0.02)


def _git_at_work_in(path: Path) -> int | None:
    # A lock file does not name its owner; a git that holds one runs in the worktree.
    import psutil

    for process in psutil.process_iter(["name", "cwd"]):
        name, folder = process.info["name"], process.info["cwd"]
        if name and name.startswith("git") and folder and Path(folder).is_relative_to(path.resolve()):
            return int(process.pid)
    return None
