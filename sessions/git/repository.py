"""A repository seen through GitPython: its objects where many are read, one call of git for all else.

Nothing here writes to the person's checkout, index, stash, branch or configuration. GitPython's lists of refs,
commits and differences cost 2 to 90 times what git's own do, and its index calls os.chdir: they are left alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sessions.errors import GitError, NotARepository
from sessions.git.command import ask_git, run_git

if TYPE_CHECKING:
    from git import Repo

NOTES_REF = "refs/notes/autoresearch"


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs between two commits; a rename shows as a deletion and an addition."""

    status: str  # "A", "M", "D" or "T" (its type changed)
    old_mode: str  # "100644", "100755", "120000" a symlink, "160000" a submodule, "000000" none
    new_mode: str
    path: str


@dataclass(frozen=True, slots=True)
class Signature:
    """Who made a commit, and when: the same signature, tree and message give the same commit."""

    name: str
    mail: str = "autoresearch-tui@localhost"
    at: int | None = None  # epoch seconds; None: now

    @property
    def environment(self) -> dict[str, str]:
        """What git reads it from: it neither needs nor touches the person's configuration."""
        variables = {"NAME": self.name, "EMAIL": self.mail}
        if self.at is not None:
            variables["DATE"] = f"{self.at} +0000"
        return {f"GIT_{who}_{key}": v for who in ("AUTHOR", "COMMITTER") for key, v in variables.items()}


class Repository:
    """The repository whose work tree is `path`."""

    def __init__(self, path: Path) -> None:
        answer = run_git(path, "rev-parse", "--path-format=absolute", "--show-toplevel", "--git-common-dir")
        if answer.status != 0:
            if "not a git repository" in answer.words or "must be run in a work tree" in answer.words:
                raise NotARepository(path)
            raise GitError(["git", "rev-parse", "--show-toplevel"], answer.words)
        top, common = answer.text.splitlines()
        self.root = Path(top)
        self.git_dir = Path(common)  # the common one, also when `path` is a linked worktree

    @classmethod
    def find(cls, path: Path) -> Repository:
        """The repository that `path` lies in. Raises NotARepository."""
        folder = path.absolute()
        while not folder.is_dir() and folder != folder.parent:
            folder = folder.parent
        return cls(folder)

    @classmethod
    def init(cls, path: Path) -> Repository:
        """A new, empty repository in `path`, on branch main."""
        path.mkdir(parents=True, exist_ok=True)
        ask_git(path, "init", "--quiet", "--initial-branch=main")
        return cls(path)

    def ask(self, *arguments: str, input_text: str | None = None) -> str:
        """What git prints when run at the root. Raises GitError."""
        return ask_git(self.root, *arguments, env=_LAB.environment, input_text=input_text)

    @contextmanager
    def _objects(self) -> Iterator[Repo]:
        # Never longer than a call: an open one keeps two children, which answer one thread at a time.
        from git import Repo

        with Repo(self.root, expand_vars=False) as repo:
            yield repo

    # Reading

    def rev_parse(self, rev: str) -> str:
        """The full hash of the commit that `rev` names. Raises GitError when there is none."""
        return self.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{rev}^{{commit}}").strip()

    def exists(self, rev: str) -> bool:
        """Whether `rev` names a commit."""
        return run_git(self.root, "cat-file", "-e", f"{rev}^{{commit}}").status == 0

    def current_branch(self) -> str | None:
        """The branch that the person's checkout is on; None on a detached HEAD."""
        answer = run_git(self.root, "symbolic-ref", "--quiet", "--short", "HEAD")
        return answer.text.strip() or None

    def is_dirty(self) -> bool:
        """Whether tracked files of the person's checkout differ from its commit."""
        return bool(self.ask("status", "--porcelain", "--untracked-files=no"))

    def read_file(self, commit: str, path: str) -> str:
        """A file's text as of a commit. Raises GitError when it is not there."""
        return self.ask("cat-file", "blob", f"{commit}:{path}")

    def read_bytes(self, commit: str, path: str) -> bytes:
        """A file's content as of a commit. Raises GitError when it is not there."""
        answer = run_git(self.root, "cat-file", "blob", f"{commit}:{path}")
        if answer.status != 0:
            raise GitError(["git", "cat-file"], answer.words)
        return answer.output

    def read_files(self, commit: str, paths: Iterable[str]) -> dict[str, str]:
        """The texts of several files as of a commit, by path. Raises GitError when one is not there."""
        with self._objects() as repo:
            tree = repo.commit(self.rev_parse(commit)).tree
            try:
                contents = {path: tree[path].data_stream.read() for path in paths}
            except KeyError as error:
                raise GitError(["git", "cat-file"], f"fatal: {error.args[0]}") from None
        return {path: content.decode("utf-8", "replace") for path, content in contents.items()}

    def is_executable(self, commit: str, path: str) -> bool:
        """Whether the file has the executable bit in the commit."""
        return self.ask("ls-tree", commit, "--", path).startswith("100755")

    def list_files(self, commit: str) -> tuple[str, ...]:
        """Every path of a commit's tree."""
        return _split(self.ask("ls-tree", "-r", "-z", "--name-only", commit))

    def diff(self, old: str, new: str, paths: Sequence[str] = ()) -> str:
        """The unified diff between two commits, fit for `apply_patch`."""
        style = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--binary")
        prefixes = ("--src-prefix=a/", "--dst-prefix=b/")
        return self.ask("diff", *style, *prefixes, old, new, "--", *paths)

    def changed_paths(self, old: str, new: str) -> tuple[Change, ...]:
        """The paths that differ between two commits, with their modes."""
        fields = _split(self.ask("diff-tree", "-r", "-z", "--raw", "--no-renames", old, new))
        changes = []
        for head, path in zip(fields[::2], fields[1::2], strict=True):
            old_mode, new_mode, _, _, status = head.lstrip(":").split()
            changes.append(Change(status, old_mode, new_mode, path))
        return tuple(changes)

    def numstat(self, old: str, new: str) -> tuple[int, int]:
        """Lines added and removed between two commits; binary files count as none."""
        lines = self.ask("diff-tree", "-r", "--numstat", "--no-renames", old, new).splitlines()
        counts = [line.split("\t")[:2] for line in lines]
        return (
            sum(int(added) for added, _ in counts if added.isdigit()),
            sum(int(removed) for _, removed in counts if removed.isdigit()),
        )

    def refs(self, prefix: str) -> dict[str, str]:
        """Every ref below `prefix`, with its hash."""
        lines = self.ask("for-each-ref", "--format=%(objectname) %(refname)", prefix).splitlines()
        return {name: sha for sha, _, name in (line.partition(" ") for line in lines)}

    def subject(self, commit: str) -> str:
        """The first line of a commit's message."""
        return self.ask("log", "-1", "--no-show-signature", "--format=%s", commit).strip()

    def branches_with(self, commit: str) -> dict[str, str]:
        """The branches that `commit` is on, with their hashes; the lab's own left out."""
        lines = self.ask(
            "for-each-ref", f"--contains={commit}", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads"
        ).splitlines()
        branches = {name: sha for sha, _, name in (line.partition(" ") for line in lines)}
        return {name: sha for name, sha in branches.items() if not name.startswith("autoresearch/")}

    def log(self, commit: str, base: str) -> tuple[tuple[str, str], ...]:
        """Hash and subject of the commits after `base` up to `commit`, newest first."""
        entries = _split(
            self.ask("log", "-z", "--no-show-signature", "--format=%H%x09%s", f"{base}..{commit}")
        )
        return tuple((sha, subject) for sha, _, subject in (entry.partition("\t") for entry in entries))

    def status_porcelain(self, worktree: Path) -> str:
        """`git status --porcelain` of a worktree, untracked files one by one."""
        return ask_git(worktree, "status", "--porcelain", "--untracked-files=all")

    def changed_since(self, worktree: Path, commit: str) -> tuple[str, ...]:
        """The paths of a worktree that differ from `commit`, committed, staged or not, and untracked ones."""
        tracked = ask_git(
            worktree, "diff", "-z", "--name-only", "--no-renames", "--no-ext-diff", commit, "--"
        )
        untracked = ask_git(worktree, "ls-files", "-z", "--others", "--exclude-standard")
        return tuple(sorted({*_split(tracked), *_split(untracked)}))

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `newer` was built on `older`, or is it."""
        return run_git(self.root, "merge-base", "--is-ancestor", older, newer).status == 0

    def is_same_change(self, commit: str, tree: str, parent: str) -> bool:
        """Whether a commit holds that tree on top of that parent alone."""
        return self.ask("log", "-1", "--no-show-signature", "--format=%T %P", commit).split() == [
            tree,
            parent,
        ]

    def checked_out_at(self, branch: str) -> Path | None:
        """The worktree that has `branch` checked out, the person's own included; None when none has."""
        ref = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
        return next(
            (Path(entry["worktree"]) for entry in self.worktrees() if entry.get("branch") == ref), None
        )

    def worktrees(self) -> list[dict[str, str]]:
        """What git records of each worktree, the person's own first: "worktree", "branch", "locked", …"""
        entries = self.ask("worktree", "list", "--porcelain").split("\n\n")
        return [dict(line.partition(" ")[::2] for line in entry.splitlines()) for entry in entries if entry]

    # Writing refs, notes and objects; never the person's work tree

    def set_ref(self, ref: str, new: str, expected_old: str | None) -> None:
        """Point `ref` at `new` if it still points at `expected_old`; None: if it does not exist yet.

        Raises GitError when somebody else moved it first.
        """
        self.ask("update-ref", "--no-deref", ref, new, expected_old or "0" * len(self.rev_parse(new)))

    def add_note(self, commit: str, text: str) -> None:
        """Put `text` beside a commit, in refs/notes/autoresearch, in place of what was there."""
        self.ask("notes", f"--ref={NOTES_REF}", "add", "--force", "--file=-", commit, input_text=text)

    def read_note(self, commit: str) -> str | None:
        """What `add_note` put beside a commit, or None."""
        answer = run_git(self.root, "notes", f"--ref={NOTES_REF}", "show", commit)
        return answer.text if answer.status == 0 else None

    def commit_worktree(self, worktree: Path, paths: Sequence[str], message: str, author_name: str) -> str:
        """Commit exactly `paths` of a worktree on its detached HEAD and return the new commit's hash.

        Whatever else was staged there is dropped from the index first. Raises GitError when nothing
        changed, or when the worktree is on a branch.
        """
        if run_git(worktree, "symbolic-ref", "--quiet", "HEAD").status == 0:
            raise GitError(["git", "commit"], f"fatal: {worktree} is on a branch, not on a detached HEAD")
        return _commit(worktree, paths, message, Signature(author_name).environment, parent="HEAD")

    def commit_first(self, paths: Sequence[str], message: str) -> str:
        """The first commit of a repository that `init` just made, by the person where git knows one."""
        if run_git(self.root, "rev-parse", "--verify", "--quiet", "HEAD").status == 0:
            raise GitError(["git", "commit"], f"fatal: {self.root} has commits already")
        known = run_git(self.root, "var", "GIT_AUTHOR_IDENT").status == 0
        who = {} if known else _LAB.environment
        return _commit(self.root, paths, message, who, parent=None)

    def commit_contents(
        self, parent: str, contents: Mapping[str, bytes], message: str, who: Signature
    ) -> str:
        """A commit on top of `parent` in which these files hold something else; no ref and no work tree is touched."""
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            ask_git(self.root, "read-tree", parent, env=index)
            for path, content in contents.items():
                mode = self.ask("ls-tree", parent, "--", path).split()[0]
                text = content.decode("utf-8", "surrogateescape")
                blob = ask_git(self.root, "hash-object", "-w", "--stdin", input_text=text).strip()
                ask_git(self.root, "update-index", "--cacheinfo", f"{mode},{blob},{path}", env=index)
            tree = ask_git(self.root, "write-tree", env=index).strip()
        commit = ("commit-tree", tree, "-p", parent, "-F", "-")
        return ask_git(self.root, *commit, env=who.environment, input_text=message).strip()

    def apply_patch(self, worktree: Path, patch_text: str) -> bool:
        """Apply a diff to a worktree, by three-way merge where it must; False: it conflicts.

        A conflict leaves the worktree as its HEAD has it.
        """
        if not patch_text.strip():
            return True
        applied = run_git(worktree, "apply", "--3way", "--whitespace=nowarn", "-", input_text=patch_text)
        if applied.status != 0:
            ask_git(worktree, "reset", "--quiet", "--hard", "HEAD")
            ask_git(worktree, "clean", "--quiet", "-ffd")
        return applied.status == 0

    def add_to_exclude(self, line: str) -> None:
        """Ignore a path without touching any tracked file; a second call changes nothing."""
        file = self.git_dir / "info" / "exclude"
        file.parent.mkdir(exist_ok=True)
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        if line not in text.splitlines():
            gap = "" if not text or text.endswith("\n") else "\n"
            with file.open("a", encoding="utf-8") as excludes:
                excludes.write(f"{gap}{line}\n")


_LAB = Signature("autoresearch-tui")


def _commit(
    worktree: Path, paths: Sequence[str], message: str, who: Mapping[str, str], parent: str | None
) -> str:
    # Plumbing all the way: no hooks, templates, signing or editor can come between.
    ask_git(worktree, "read-tree", parent or "--empty")
    ask_git(worktree, "add", "--all", "--force", "--", *paths)
    tree = ask_git(worktree, "write-tree").strip()
    if parent and tree == ask_git(worktree, "rev-parse", f"{parent}^{{tree}}").strip():
        raise GitError(["git", "commit"], f"error: nothing changed in {', '.join(paths)}")
    parents = ("-p", parent) if parent else ()
    sha = ask_git(worktree, "commit-tree", tree, *parents, "-F", "-", env=who, input_text=message).strip()
    subject = message.partition("\n")[0]
    ask_git(worktree, "update-ref", "-m", f"commit: {subject}", "HEAD", sha, env=who)
    return sha


def _split(text: str) -> tuple[str, ...]:
    return tuple(field for field in text.split("\0") if field)
