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
from supervisor.recognition.finding import Finding
from supervisor.recognition.recognise import recognise
from supervisor.recognition.tree import Tree

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Survey:
    """A repository as `init` sees it."""

    root: Path
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


def survey(repository: Repository) -> Survey:
    """What the repository is, from the files of the commit that runs would start from. Raises LabError."""
    root = repository.root
    if (root / CONFIG_FILE).exists():
        raise LabError(
            f"{root} is a lab already: {CONFIG_FILE} is there; edit it, or `autoresearch-tui launch`"
        )
    if not repository.exists("HEAD"):
        raise LabError(f"{root} has no commit yet; `git commit` the files first, runs start from a commit")
    base = repository.rev_parse("HEAD")
    tree = _tree_of(repository, base)
    finding = recognise(tree)
    if finding is None:
        _refuse_an_untracked_session(tree)
    notes = (*_notes(repository, tree), *_absent_programs(finding, tree))
    return Survey(root, base, tree, finding, notes)


def _tree_of(repository: Repository, commit: str) -> Tree:
    # The state of an earlier lab, or a copy of one, is nobody's source.
    files = [path for path in repository.list_files(commit) if not path.startswith(f"{STATE_FOLDER}/")]
    return Tree(repository.root, files)


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
    changed = [path for path in repository.changed_since(repository.root, "HEAD") if path in tree]
    if changed:
        more = f" and {len(changed) - _MOST_NAMED} more" if len(changed) > _MOST_NAMED else ""
        notes.append(
            f"not committed: {', '.join(changed[:_MOST_NAMED])}{more}; runs start from what is committed"
        )
    if not (repository.root / ".git").is_dir() and (repository.root / ".git").is_file():
        notes.append(f"the lab is {repository.root} alone, not the repository around it")
    return tuple(notes)
