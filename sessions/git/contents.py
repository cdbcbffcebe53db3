"""What git leaves out of a worktree though it is in the commit: submodules, and files kept by LFS.

Both are filled from what the person's clone already holds; nothing is fetched.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sessions.files import remove_folder
from sessions.git.command import ask_git, run_git
from sessions.git.repository import Repository

_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:(?P<oid>[0-9a-f]{64})\n")
_LONGEST_POINTER = 1024


def lfs_objects(repository: Repository) -> Path:
    """Where the repository's own copies of LFS files are."""
    return repository.git_dir / "lfs" / "objects"


def fill_submodules(repository: Repository, checkout: Path, commit: str) -> tuple[str, ...]:
    """Lay a commit's submodules out in a checkout of it, afresh; returns those that the clone does not hold."""
    if not (checkout / ".gitmodules").is_file():
        return ()
    listing = repository.ask("ls-tree", "-r", "-z", commit)
    modules = repository.git_dir / "modules"
    return tuple(_fill(listing, checkout, checkout, repository.root, modules))


def lfs_files(
    repository: Repository, checkout: Path, commit: str
) -> tuple[tuple[tuple[Path, Path], ...], tuple[str, ...]]:
    """A checkout's LFS files, each with the object that it stands for; and those that the clone does not hold."""
    attributes = [checkout / ".gitattributes", *checkout.glob("*/.gitattributes")]
    if not any(b"filter=lfs" in file.read_bytes() for file in attributes if file.is_file()):
        return (), ()
    held, missing = [], []
    for path in _under_lfs(repository, commit):
        file = checkout / path
        pointer = _POINTER.match(_beginning(file))
        if pointer is None:  # it was filled when git laid it out
            continue
        oid = pointer["oid"].decode()
        kept = lfs_objects(repository) / oid[:2] / oid[2:4] / oid
        if kept.is_file():
            held.append((file, kept))
        else:
            missing.append(path)
    return tuple(held), tuple(missing)


def _fill(listing: str, checkout: Path, folder: Path, clone: Path, modules: Path) -> Iterator[str]:
    """Fill those of a tree's listing in `folder`; `clone` and `modules` are where the clone may hold them."""
    for entry in listing.split("\0"):
        about, _, path = entry.partition("\t")
        if not about.startswith("160000 "):
            continue
        sha, place = about.split()[-1], folder / path
        git_dir = _git_dir_of(clone / path, modules / path, sha)
        if git_dir is None:
            yield str(place.relative_to(checkout))
            continue
        remove_folder(place)
        place.mkdir(parents=True)
        with tempfile.TemporaryDirectory() as scratch:
            # An index of its own: the person's submodule must not know of this.
            index = {"GIT_INDEX_FILE": str(Path(scratch, "index"))}
            own = (f"--git-dir={git_dir}", f"--work-tree={place}")
            ask_git(place, *own, "read-tree", "--reset", "-u", sha, env=index)
        inner = ask_git(place, *own, "ls-tree", "-r", "-z", "--full-tree", sha)
        yield from _fill(inner, checkout, place, clone / path, git_dir / "modules")


def _git_dir_of(checkout: Path, module: Path, commit: str) -> Path | None:
    """The clone's repository of a submodule that has the commit: its checkout's, else what git keeps of it."""
    kept = checkout if (checkout / ".git").exists() else module
    if not kept.is_dir() or run_git(kept, "cat-file", "-e", f"{commit}^{{commit}}").status != 0:
        return None
    return Path(ask_git(kept, "rev-parse", "--absolute-git-dir").strip())


def is_lfs_pointer(file: Path) -> bool:
    """Whether a file stands for one that LFS keeps."""
    return _POINTER.match(_beginning(file)) is not None


def _under_lfs(repository: Repository, commit: str) -> Iterator[str]:
    paths = repository.ask("ls-tree", "-r", "-z", "--name-only", commit)
    fields = repository.ask("check-attr", "-z", "--stdin", "filter", input_text=paths).split("\0")
    for path, value in zip(fields[::3], fields[2::3], strict=False):
        if value == "lfs":
            yield path


def _beginning(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(_LONGEST_POINTER)
    except OSError:
        return b""
