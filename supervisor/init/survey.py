"""Looking at a repository that is to become a lab: what it is, and what stands in the way."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from sessions.errors import NotARepository
from sessions.git.command import run_git
from sessions.git.repository import Repository
from supervisor.errors import LabError
from supervisor.lab.branches import MAIN_BRANCHES, base_at
from supervisor.lab.config import CONFIG_FILE
from supervisor.lab.paths import STATE_FOLDER
from supervisor.recognition.auto_folder import untracked_session
from supervisor.recognition.finding import Fact, Finding
from supervisor.recognition.recognise import recognise
from supervisor.recognition.tree import Tree

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Survey:
    """A repository as `init` sees it."""

    root: Path  # the folder that becomes the lab: the repository's, or one in it
    base: str  # the commit that a campaign would start from
    tree: Tree  # the files of that commit
    finding: Finding | None  # None: nothing here is recognised
    notes: tuple[str, ...]  # about the repository, one line each


def find_repository(directory: Path) -> Repository | None:
    """The repository around a folder; None where there is none. Raises LabError for a bare one."""
    try:
        return Repository.find(directory)
    except NotARepository:
        if run_git(directory, "rev-parse", "--is-bare-repository").text.strip() == "true":
            raise LabError(
                f"{directory} is a bare repository, without files to look at; `git clone` it and init there"
            ) from None
        return None


def survey(repository: Repository, start: Path | None = None) -> Survey:
    """What the repository is, or the folder `start` in it, as of the commit that is checked out. Raises LabError."""
    top = repository.root
    for folder in dict.fromkeys((start or top, top)):
        if (folder / CONFIG_FILE).exists():
            raise LabError(
                f"{folder} is a lab already: {CONFIG_FILE} is there; edit it, or `autoresearch-tui launch`"
            )
    if not repository.exists("HEAD"):
        raise LabError(f"{top} has no commit yet; `git commit` the files first, runs start from a commit")
    base = repository.rev_parse("HEAD")
    tree, where = _lab_in(repository, base, start or top)
    finding = _without_links(recognise(tree), tree)
    if finding is None:
        _refuse_an_untracked_session(tree)
    notes = (*where, *_notes(repository, tree), *_absent_programs(finding, tree))
    return Survey(tree.root, base, tree, finding, notes)


def _lab_in(repository: Repository, commit: str, start: Path) -> tuple[Tree, tuple[str, ...]]:
    """The files of the folder that is meant, and why: the one that we stand in, unless only the whole is a lab."""
    top, whole = repository.root, _tree_of(repository, commit, repository.root)
    part = _tree_of(repository, commit, start)
    if start == top or not part.files:
        return whole, ()
    around, inside = recognise(whole), recognise(part)
    name = start.relative_to(top)
    if around is not None and (inside is None or (inside.missing and not around.missing)):
        return whole, (f"the lab is all of {top}; {name} by itself is not known as one",)
    return part, (f"the lab is {name}, a folder of {top}; `autoresearch-tui init {top}` looks at all of it",)


def _tree_of(repository: Repository, commit: str, folder: Path) -> Tree:
    within = "" if folder == repository.root else f"{folder.relative_to(repository.root).as_posix()}/"
    files = [path.removeprefix(within) for path in repository.list_files(commit) if path.startswith(within)]
    # The state of an earlier lab, or a copy of one, is nobody's source.
    return Tree(folder, [path for path in files if not path.startswith(f"{STATE_FOLDER}/")])


def _without_links(finding: Finding | None, tree: Tree) -> Finding | None:
    """The finding with the files that editable links lead to: an edit of a link would be refused."""
    if finding is None or not any((tree.root / path).is_symlink() for path in finding.editable):
        return finding
    top = tree.root.resolve()
    files = [(tree.root / path).resolve() for path in finding.editable]
    targets = tuple(dict.fromkeys(str(f.relative_to(top)) for f in files if f.is_relative_to(top)))
    link = next(path for path in finding.editable if (tree.root / path).is_symlink())
    return finding.with_fact(
        Fact.EDITABLE, tuple(t for t in targets if t in tree), link, "where it leads to", guess=True
    )


def _refuse_an_untracked_session(tree: Tree) -> None:
    """A lab that is here, but where no run would see it. Raises LabError."""
    if script := untracked_session(tree):
        raise LabError(
            f"{script} is here but not in git, where runs would not see it; "
            f"`git add -f {script}`, commit, and init again"
        )


def _absent_programs(finding: Finding | None, tree: Tree) -> tuple[str, ...]:
    """Programs that the lab's commands begin with and that this machine has not."""
    commands = (finding.command, finding.setup, finding.checks) if finding else ()
    programs = dict.fromkeys(shlex.split(command)[0] for command in commands if command)
    own = (p for p in programs if p != "{python}" and p.removeprefix("./") not in tree)
    absent = [program for program in own if not shutil.which(program)]
    hint = {"uv": ": pip install uv, or see https://docs.astral.sh/uv"}
    return tuple(
        f"{program} is not installed here{hint.get(program, '')}; runs need it" for program in absent
    )


def _notes(repository: Repository, tree: Tree) -> tuple[str, ...]:
    base = base_at(repository)
    notes = []
    if base.branch not in MAIN_BRANCHES:
        notes.append(f"runs start from {base.place}, which is checked out")
    within = tree.root.relative_to(repository.root).as_posix() + "/" if tree.root != repository.root else ""
    differ = repository.changed_since(repository.root, "HEAD")
    changed = [path for path in differ if path.startswith(within) and path.removeprefix(within) in tree]
    if changed:
        more = f" and {len(changed) - _MOST_NAMED} more" if len(changed) > _MOST_NAMED else ""
        notes.append(
            f"not committed: {', '.join(changed[:_MOST_NAMED])}{more}; runs start from what is committed"
        )
    if not (repository.root / ".git").is_dir() and (repository.root / ".git").is_file():
        notes.append(f"the lab is {repository.root} alone, not the repository around it")
    return tuple(notes)
