"""The base with an editable file broken on purpose: if the command does not mind, edits of that file are never run."""

from __future__ import annotations

from pathlib import PurePosixPath

from sessions.git.repository import Repository, Signature
from supervisor.lab.config import LabConfig
from supervisor.model.records import Canary
from supervisor.text import matches_glob

REF = "refs/autoresearch/canary"
_MESSAGE = "broken on purpose, to see that the edit is what runs"
# No language takes it for a program, no format for data, and no decoder for text.
_GARBAGE = b"\0\xff\xfe )]}>\"'`@ " + _MESSAGE.encode() + b"\n"
# What a shell can't make sense of it passes over; an empty line of its own is all that these take for an end.
_ENDINGS = {
    ("sh", "bash", "zsh", "ksh", "dash"): b"exit 97\n",
    ("fish",): b"exit 97\n",
    ("mk", "make", "makefile", "gnumakefile"): b"$(error " + _MESSAGE.encode() + b")\n",
    ("env", "cfg", "conf", "ini", "properties"): b"",
}


def make_canaries(repository: Repository, base: str, config: LabConfig, tag: str) -> tuple[Canary, ...]:
    """A commit for each entry of `[lab] editable`, on top of the base, kept by a ref of its own."""
    if not config.lab.canary:
        return ()
    canaries: list[Canary] = []
    files = frozenset(repository.list_files(base))
    for entry, paths in entries_of(config).items():
        contents = {path: broken(path, repository.read_bytes(base, path)) for path in paths if path in files}
        if contents:
            commit = repository.commit_contents(base, contents, f"canary: {entry}, {_MESSAGE}", _OURS)
            repository.set_ref(f"{REF}/{tag}/{len(canaries) + 1}", commit, None)
            canaries.append(Canary(entry, commit))
    return tuple(canaries)


_OURS = Signature("autoresearch-tui", at=1_000_000_000)  # the same commit however often it is made


def entries_of(config: LabConfig) -> dict[str, tuple[str, ...]]:
    """What is broken together: each editable file by itself, those of a glob or a folder at once."""
    entries: dict[str, list[str]] = {}
    for path in config.lab.editable:
        glob = next((glob for glob in config.lab.new_files if matches_glob(path, glob)), path)
        entries.setdefault(glob, []).append(path)
    return {entry: tuple(paths) for entry, paths in entries.items()}


def broken(path: str, content: bytes) -> bytes:
    """A file that can't be parsed, compiled, run or decoded, in place of one that could."""
    name = PurePosixPath(path)
    first_line = content.split(b"\n", 1)[0]
    interpreter = first_line[2:].decode("utf-8", "replace") if first_line.startswith(b"#!") else ""
    kind = (name.suffix.lstrip(".") or name.name).lower()
    words = {kind, *PurePosixPath(interpreter.split()[-1] if interpreter.split() else "").parts[-1:]}
    ending = next((line for kinds, line in _ENDINGS.items() if words & set(kinds)), b"")
    head = first_line + b"\n" if interpreter else b""
    return head + ending + _GARBAGE
