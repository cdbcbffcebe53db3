"""What the project itself says to who works on it, beside program.md: a session's document, its list of ideas."""

from __future__ import annotations

from pathlib import Path

from supervisor.lab.paths import Lab

MOST_BYTES = 2**16  # of one document
# Where the sessions of other harnesses keep theirs; read where `[lab] documents` does not say.
_KNOWN = tuple(
    f"{folder}{name}"
    for folder, names in (
        (".auto/", ("prompt.md", "ideas.md", "learnings.md")),
        ("auto/", ("autoresearch.md", "prompt.md", "autoresearch.ideas.md", "ideas.md")),
        ("", ("autoresearch.md", "autoresearch.ideas.md")),
    )
    for name in names
)


def read_documents(lab: Lab) -> tuple[tuple[str, str], ...]:
    """The documents as they lie on the disk now, by path; those that are not there are left out."""
    paths = _KNOWN if lab.config.lab.documents is None else lab.config.lab.documents
    texts = ((path, _read(lab.root, lab.root / path)) for path in paths)
    return tuple((path, text) for path, text in texts if text.strip())


def _read(root: Path, file: Path) -> str:
    try:
        if not file.resolve().is_relative_to(root.resolve()) or not file.is_file():
            return ""
        with file.open("rb") as opened:
            return opened.read(MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
