"""Shared notes: Markdown files with a small header, one finding each."""

from __future__ import annotations

import time
from pathlib import Path

from sessions.files import write_atomically
from supervisor.errors import LabError
from supervisor.model.snapshot import Note
from supervisor.text import slug


def publish_note(
    folder: Path, title: str, text: str, author: str, now: float, experiment_id: str | None = None
) -> str:
    """Write a finding for everybody; returns the note's id."""
    folder.mkdir(parents=True, exist_ok=True)
    title = " ".join(title.split())
    name = slug(title, 48) or "note"
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    ids = (f"{stamp}-{name}" + (f"-{n}" if n else "") for n in range(1000))
    note_id = next(each for each in ids if not (folder / f"{each}.md").exists())
    header = f"---\ntitle: {title}\nauthor: {author}\ncreated_at: {now:.3f}\nexperiment: {experiment_id or ''}\n---\n\n"
    write_atomically(folder / f"{note_id}.md", f"{header}{text.strip()}\n")
    return note_id


def read_notes(folder: Path) -> tuple[Note, ...]:
    """Every note, newest first. A file without a header is a note too: people drop them in."""
    notes = [note for path in folder.glob("*.md") if (note := _read(path)) is not None]
    return tuple(sorted(notes, key=lambda note: (note.created_at, note.id), reverse=True))


def read_note(folder: Path, note_id: str) -> str:
    """The text of a note below its header. Raises LabError for an unknown id."""
    path = folder / f"{note_id}.md"
    if path.parent != folder or not path.is_file():
        raise LabError(f"there is no note {note_id!r}; `autoresearch-tui notes` lists them")
    return _split(path.read_text(encoding="utf-8", errors="replace"))[1]


def _read(path: Path) -> Note | None:
    try:
        head, body = _split(path.read_text(encoding="utf-8", errors="replace"))
        modified = path.stat().st_mtime
    except OSError:
        return None
    first_line = next((line.lstrip("# ").strip() for line in body.splitlines() if line.strip()), path.stem)
    try:
        created_at = float(head.get("created_at", modified))
    except ValueError:
        created_at = modified
    return Note(
        id=path.stem,
        title=head.get("title") or first_line,
        author=head.get("author") or "person",
        created_at=created_at,
        path=path,
        experiment_id=head.get("experiment") or None,
    )


def _split(text: str) -> tuple[dict[str, str], str]:
    if not text.startswith("---\n") or "\n---\n" not in text[3:]:
        return {}, text
    head, _, body = text[4:].partition("\n---\n")
    pairs = (line.partition(":") for line in head.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}, body.lstrip("\n")
