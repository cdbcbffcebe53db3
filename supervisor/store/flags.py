"""Writing: what looks like gaming in an experiment."""

from __future__ import annotations

from collections.abc import Iterable

from supervisor.snapshot import Flag
from supervisor.store.connection import Connection


def insert_flags(db: Connection, experiment: int, flags: Iterable[Flag]) -> None:
    """Remember what was flagged, each thing once: a second run that shows the same adds nothing."""
    for flag in flags:
        known = db.execute(
            "SELECT 1 FROM flags WHERE experiment_id = ? AND rule = ? AND path = ? AND line IS ? AND excerpt = ?",
            (experiment, flag.rule, flag.path, flag.line, flag.excerpt),
        ).fetchone()
        if known is None:
            db.execute(
                "INSERT INTO flags VALUES (?,?,?,?,?,?)",
                (experiment, flag.rule, flag.path, flag.line, flag.excerpt, flag.detail),
            )


def replace_audit(db: Connection, experiment: int, flags: Iterable[Flag]) -> None:
    """What the audit says of the edit as it is now; a draft that was sent back may have said something else."""
    db.execute("DELETE FROM flags WHERE experiment_id = ? AND path != ''", (experiment,))
    insert_flags(db, experiment, flags)


def drop_flags(db: Connection, experiment: int) -> None:
    """The experiment goes, and its flags with it."""
    db.execute("DELETE FROM flags WHERE experiment_id = ?", (experiment,))
