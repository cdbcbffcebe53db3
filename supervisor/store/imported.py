"""What other harnesses measured before: kept beside the lab's own, in no setting, ranked with nothing."""

from __future__ import annotations

from supervisor.model.records import RawHistory
from supervisor.model.snapshot import ImportedLine
from supervisor.store.connection import Connection, Store


def import_lines(store: Store, source: str, history: RawHistory, now: float) -> int:
    """Record a file's lines; one that was imported before stays as it is. Returns how many are new."""
    with store.transaction() as db:
        before = int(db.execute("SELECT count(*) FROM imported").fetchone()[0])
        db.executemany(
            "INSERT OR IGNORE INTO imported (source, line, run_commit, metric_name, metric, memory_gb, status, "
            "description, imported_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (source, one.number, one.commit, history.metric_name, one.metric, one.memory_gb, one.status,
                 one.description, now)
                for one in history.lines
            ],
        )  # fmt: skip
        return int(db.execute("SELECT count(*) FROM imported").fetchone()[0]) - before


def read_imported(db: Connection) -> tuple[ImportedLine, ...]:
    """All of it, in the order of the files."""
    rows = db.execute("SELECT * FROM imported ORDER BY id").fetchall()
    return tuple(
        ImportedLine(
            source=row["source"],
            commit=row["run_commit"],
            metric_name=row["metric_name"],
            metric=row["metric"],
            memory_gb=row["memory_gb"],
            status=row["status"],
            description=row["description"],
        )
        for row in rows
    )
