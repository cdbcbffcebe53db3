"""Files that are replaced whole or not at all, the ends of long ones, folders that go whatever their modes."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` whole or not at all; a reader never sees half a file."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_tail(path: Path, most_bytes: int) -> str:
    """The end of a file as text, at most so many bytes of it; "" when it can't be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - most_bytes))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def read_beneath(folder: Path, path: str, most_bytes: int, since: float) -> str:
    """A file that was written in `folder` after `since` (epoch seconds), as text; "" without such a one."""
    try:
        file = (folder / path).resolve(strict=True)
        about = file.stat()
        is_one = stat.S_ISREG(about.st_mode) and about.st_size <= most_bytes and about.st_mtime >= since
        inside = file.is_relative_to(folder.resolve())
        return file.read_bytes()[:most_bytes].decode("utf-8", "replace") if is_one and inside else ""
    except OSError:
        return ""


def remove_folder(path: Path) -> None:
    """Remove `path` with all that lies in it, read-only folders too; none there is no error."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        make_writable(path)
        shutil.rmtree(path)


def make_writable(path: Path) -> None:
    """Let us change what lies in the folder and in every one below it."""
    path.chmod(path.stat().st_mode | stat.S_IRWXU)
    for parent, names, _ in os.walk(path):
        for folder in (Path(parent, name) for name in names):
            if not folder.is_symlink():
                folder.chmod(folder.stat().st_mode | stat.S_IRWXU)
