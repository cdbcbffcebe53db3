"""The database file: opening, migrating, transactions."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from supervisor.errors import StoreError

BUSY_TIMEOUT_S = 30.0
DB_FILE = "lab.db"
Connection = sqlite3.Connection
Row = sqlite3.Row


class Store:
    """A lab's database. Any number of processes and threads may hold one each; every thread gets its own connection."""

    def __init__(self, path: Path) -> None:
        """Open the database at `path`, creating or migrating it. Raises StoreError."""
        self.path = path
        self._local = threading.local()
        try:
            _migrate(self.connection)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}; is the disk full, or the file damaged?") from error

    @property
    def connection(self) -> Connection:
        """This thread's connection."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = _open(self.path)
            self._local.connection = connection
        return connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transition: all of it or nothing, and the lab's version rises. Raises StoreError."""
        connection = self.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("UPDATE lab SET version = version + 1")
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            raise StoreError(f"{self.path}: {error}; free some disk space or check the file") from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction: every statement in it sees the lab at one moment."""
        connection = self.connection
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("COMMIT")

    def version(self) -> int:
        """The number of transitions so far; cheap enough to poll."""
        return int(self.connection.execute("SELECT version FROM lab").fetchone()[0])

    def close(self) -> None:
        """Close this thread's connection."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None


def _open(path: Path) -> Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _migrate(connection: Connection) -> None:
    folder = resources.files("supervisor.store") / "migrations"
    scripts = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    newest = len(scripts)
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > newest:
            raise StoreError(
                f"this lab was written by a newer autoresearch-tui (schema {version}, known {newest}): update the tool"
            )
        for number, name in enumerate(scripts[version:], start=version + 1):
            for statement in _statements((folder / name).read_text(encoding="utf-8")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    # executescript() would commit the transaction that makes a migration all-or-nothing.
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
