"""What other harnesses measured before: kept beside the lab's own, in no setting, ranked with nothing."""

from __future__ import annotations

from supervisor.model.records import RawHistory
from supervisor.model.snapshot import ImportedLine
from supervisor.store import rows
from supervisor.store.connection import Connection, Store


def import_lines(store: Store, source: str, history: RawHistory, now: float) -> int:
    """Record a file's lines; one that was imported before stays as it is. Returns how many are new."""
    query = "SELECT line FROM imported WHERE source = ?"
    with store.transaction() as db:
        numbers = {number for (number,) in db.execute(query, (source,))}
        new_lines = [line for line in history.lines if line.number not in numbers]
        for line in new_lines:
            columns = rows.columns_of(line, without=("number", "commit"))
            rows.insert(
                db,
                "imported",
                columns,
                source=source,
                line=line.number,
                run_commit=line.commit,
                metric_name=history.metric_name,
                imported_at=now,
            )
    return len(new_lines)


def read_imported(db: Connection) -> tuple[ImportedLine, ...]:
    """All of it, in the order of the files."""
    return rows.read(db, ImportedLine, "FROM imported ORDER BY id", commit="run_commit")
