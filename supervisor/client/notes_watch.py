"""Whether the folder of the shared notes is to be looked at again: the only home of watchdog."""

from __future__ import annotations

import threading
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

# What whoever only reads does not do.
_CHANGES = ("created", "modified", "moved", "deleted")


class NotesWatch(FileSystemEventHandler):
    """A watch on one folder, for as long as this process lives."""

    def __init__(self, folder: Path) -> None:
        self._changed = threading.Event()
        self._changed.set()
        observer = Observer()
        observer.daemon = True
        try:
            observer.schedule(self, str(folder))
            observer.start()
            self._works = True
        except OSError:  # there is no folder yet, or no inotify left
            self._works = False

    def on_any_event(self, event: FileSystemEvent) -> None:
        """See watchdog; called in its thread."""
        if event.event_type in _CHANGES:
            self._changed.set()

    def is_due(self) -> bool:
        """Whether anything changed since the last call; always, where nothing can be watched."""
        changed = self._changed.is_set() or not self._works
        self._changed.clear()
        return changed
