"""What git ignores and the lab's command needs: laid beside the commit in every checkout that a run gets.

Links lead into the person's own folders, which a run may read and never write; where the machine has no sandbox
that sees to it, they are copies as well.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sessions.git.contents import fill_submodules, lfs_files, lfs_objects
from sessions.git.ignored import included_paths
from sessions.git.repository import Repository
from sessions.sandbox.run_sandbox import protects_files
from supervisor.errors import LaunchError
from supervisor.lab.config import CONFIG_FILE
from supervisor.lab.paths import STATE_FOLDER, Lab
from supervisor.lab.programs import Say

SET_UP_BENCH = "set-up"  # of the benches: where the set-up command ran
_MOST_CHILDREN = 1000  # of a linked folder that are looked at for links of their own
_Lay = Callable[[Path, Path], None]


@dataclass(frozen=True, slots=True)
class Beside:
    """Paths of the lab that are in no commit, each as it is to be given to a run."""

    links: tuple[str, ...]
    copies: tuple[str, ...]


def beside(lab: Lab) -> Beside:
    """What `[lab] links` and `copies` name, and what `.worktreeinclude` does: its folders linked, its files copied."""
    config = lab.config.lab
    named = {path.rstrip("/") for path in (*config.links, *config.copies)}
    included = [path for path in included_paths(lab.root) if not path.startswith(f"{STATE_FOLDER}/")]
    others = [path for path in included if path.rstrip("/") not in named]
    links = (*config.links, *(path for path in others if path.endswith("/")))
    copies = (*config.copies, *(path for path in others if not path.endswith("/")))
    return Beside(tuple(p.rstrip("/") for p in links), tuple(p.rstrip("/") for p in copies))


def lay_out(lab: Lab, repository: Repository, checkout: Path, commit: str, *, linked: bool = True) -> None:
    """Complete a checkout of a commit: submodules, LFS files, copies, and links where they are wanted."""
    fill_submodules(repository, checkout, commit)
    for file, kept in lfs_files(repository, checkout, commit)[0]:
        file.unlink()
        _link_or_copy(kept, file)
    wanted, folder = beside(lab), checkout / lab.folder
    for path in wanted.copies:
        _lay(lab, source_of(lab, path), folder / path, checkout, _copy)
    for path in wanted.links if linked else ():
        _lay(lab, source_of(lab, path), folder / path, checkout, _link_or_copy)


def source_of(lab: Lab, path: str) -> Path:
    """Where a path that git ignores is: in the person's checkout, else where the set-up command made it."""
    own = lab.root / path
    return own if os.path.lexists(own) else lab.benches_dir / SET_UP_BENCH / lab.folder / path


def dotenv_files(lab: Lab) -> tuple[Path, ...]:
    """The .env files that a run may read: what they hold is kept out of what it prints."""
    given = beside(lab)
    paths = (path for path in (*given.links, *given.copies) if f"{Path(path).name}.".startswith(".env."))
    return tuple(source_of(lab, path) for path in paths)


def readable_sources(lab: Lab) -> tuple[Path, ...]:
    """What a confined run has to see of the person's folders for its links to lead anywhere."""
    sources = [source_of(lab, path) for path in beside(lab).links]
    found = [target for source in sources if source.exists() for target in _targets(source)]
    if (lab.top / ".gitattributes").is_file() and (objects := lfs_objects(Repository(lab.root))).is_dir():
        found.append(objects)
    return tuple(dict.fromkeys(found))


def expect_beside(lab: Lab, repository: Repository, checkout: Path, commit: str, say: Say) -> None:
    """Say what a checkout of the base lacks that this clone does not hold. Raises LaunchError for what was named."""
    wanted = beside(lab)
    for key, paths in (("links", wanted.links), ("copies", wanted.copies)):
        absent = next((path for path in paths if not source_of(lab, path).exists()), None)
        if absent is not None:
            made = ", and the set-up command made none" if lab.config.lab.setup else ""
            raise LaunchError(f"{CONFIG_FILE}: [lab] {key}: there is no {absent} in {lab.root}{made}")
    for path in fill_submodules(repository, checkout, commit)[:1]:
        say(f"note: the submodule {path} is not in your clone, so runs lack it: git submodule update --init")
    for path in lfs_files(repository, checkout, commit)[1][:1]:
        say(f"note: the content of {path} is not in your clone, so runs lack it: git lfs pull")
    if wanted.links and not protects_files():
        say(
            f"note: no sandbox protects your files here, so each run gets copies of {', '.join(wanted.links)}"
        )


def _targets(source: Path) -> Iterator[Path]:
    yield source.resolve()
    if source.is_dir():
        for child in [*source.iterdir()][:_MOST_CHILDREN]:
            if child.is_symlink() and child.exists():
                yield child.resolve()


def _lay(lab: Lab, source: Path, target: Path, checkout: Path, lay: _Lay) -> None:
    """Lay `source` down as `target`; what the commit has stays, and what leads into the lab leads into the checkout."""
    if os.path.lexists(target):
        if target.is_dir() and not target.is_symlink() and source.is_dir():
            for child in source.iterdir():
                _lay(lab, child, target / child.name, checkout, lay)
        return
    if not source.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink() and (inside := _way_back(lab, source, source.parent)) is not None:
        # A package of the workspace, in node_modules: it must be the bench's, or the edit would not be what runs.
        target.symlink_to(checkout / inside)
    elif source.is_dir() and any(_ways_back(lab, source)):
        target.mkdir()
        for child in source.iterdir():
            _lay(lab, child, target / child.name, checkout, lay)
    else:
        lay(source.resolve(), target)


def _ways_back(lab: Lab, folder: Path) -> Iterator[Path]:
    """The links in a folder that lead back into the lab, as a workspace's packages do; scopes are looked into."""
    for child in folder.iterdir():
        if child.is_symlink() and (inside := _way_back(lab, child, folder)) is not None:
            yield inside
        elif child.name.startswith("@") and child.is_dir() and not child.is_symlink():
            yield from _ways_back(lab, child)


def _way_back(lab: Lab, link: Path, folder: Path) -> Path | None:
    """Where in the repository a link leads; None where it stays in its folder, or leaves the repository."""
    top, goal = lab.top, link.resolve()
    around = folder.parent if folder.name.startswith("@") else folder
    if not goal.exists() or goal.is_relative_to(around.resolve()) or not goal.is_relative_to(top):
        return None
    return goal.relative_to(top)


def _link_or_copy(source: Path, target: Path) -> None:
    if protects_files():
        target.symlink_to(source)
    else:
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)
