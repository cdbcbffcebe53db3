"""Writing: the plan."""

from __future__ import annotations

from supervisor.errors import LabError
from supervisor.model import ids
from supervisor.model.snapshot import Hypothesis
from supervisor.model.states import HypothesisState
from supervisor.store.campaigns import record_event
from supervisor.store.connection import Connection, Store


def add_hypotheses(
    store: Store,
    tag: str,
    author: str,
    new: tuple[Hypothesis, ...],
    state: HypothesisState,
    now: float,
    *,
    first: bool,
) -> tuple[str, ...]:
    """Put entries at the end of the plan, or ahead of everything with `first`; returns their ids."""
    with store.transaction() as db:
        return insert_hypotheses(db, tag, author, new, state, now, first=first)


def insert_hypotheses(
    db: Connection,
    tag: str,
    author: str,
    new: tuple[Hypothesis, ...],
    state: HypothesisState,
    now: float,
    *,
    first: bool,
) -> tuple[str, ...]:
    """As `add_hypotheses`, inside a transaction."""
    low, high = db.execute(
        "SELECT coalesce(min(position), 0), coalesce(max(position), 0) FROM hypotheses WHERE tag = ?", (tag,)
    ).fetchone()
    added = []
    for offset, entry in enumerate(new):
        position = low - len(new) + offset if first else high + 1 + offset
        row = db.execute(
            "INSERT INTO hypotheses (tag, title, rationale, change, expected_gain, category, state, author, position, "
            "created_at, edit, parent_id, risk, builds_on, falsified_by, independent) "
            "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                tag,
                entry.title,
                entry.rationale,
                entry.change,
                entry.expected_gain,
                entry.category,
                state,
                author,
                position,
                now,
                entry.edit,
                ids.optional_number(entry.parent_id),
                entry.risk,
                " ".join(entry.builds_on),
                entry.falsified_by,
                entry.independent,
            ),
        )
        added.append(ids.hypothesis_id(int(row.lastrowid or 0)))
    if added:
        record_event(db, tag, now, author, f"proposed {', '.join(added)}")
    return tuple(added)


def claim_hypothesis(db: Connection, tag: str, agent: str, now: float) -> int | None:
    """Take the first open entry for this agent, inside its transaction; None when there is none."""
    row = db.execute(
        "UPDATE hypotheses SET state = ?, claimed_by = ?, claimed_at = ? WHERE id = (SELECT id FROM hypotheses "
        "WHERE tag = ? AND state = ? ORDER BY position LIMIT 1) RETURNING id",
        (HypothesisState.CLAIMED, agent, now, tag, HypothesisState.OPEN),
    ).fetchone()
    return int(row["id"]) if row else None


def set_hypothesis_state(store: Store, tag: str, hypothesis: str, state: HypothesisState, now: float) -> None:
    """The person's yes or no, or a return to the queue. Raises LabError when it is no longer waiting."""
    number = _number(hypothesis)
    with store.transaction() as db:
        changed = db.execute(
            "UPDATE hypotheses SET state = ?, claimed_by = NULL WHERE tag = ? AND id = ? AND state IN (?, ?)",
            (state, tag, number, HypothesisState.PROPOSED, HypothesisState.OPEN),
        )
        if not changed.rowcount:
            raise LabError(f"{hypothesis} is not waiting in the plan; `autoresearch-tui plan` shows what is")
        record_event(db, tag, now, "person", f"{hypothesis}: {state}")


def move_hypothesis(store: Store, tag: str, hypothesis: str, before: str | None, now: float) -> None:
    """Put an entry right before another one, or first with None. Raises LabError for an unknown id."""
    number = _number(hypothesis)
    with store.transaction() as db:
        rows = db.execute(
            "SELECT id, position FROM hypotheses WHERE tag = ? ORDER BY position", (tag,)
        ).fetchall()
        order = [(row["id"], row["position"]) for row in rows if row["id"] != number]
        known = {row["id"] for row in rows}
        target = order[0][0] if before is None and order else _number(before or hypothesis)
        for wanted in (number, target):
            if wanted not in known:
                raise LabError(f"there is no {ids.hypothesis_id(wanted)}; `autoresearch-tui plan` lists them")
        index = next((i for i, (entry, _) in enumerate(order) if entry == target), 0)
        above = order[index - 1][1] if index else order[0][1] - 2 if order else 0.0
        below = order[index][1] if order else 0.0
        db.execute("UPDATE hypotheses SET position = ? WHERE id = ?", ((above + below) / 2, number))
        record_event(db, tag, now, "person", f"moved {ids.hypothesis_id(number)}")


def _number(hypothesis: str) -> int:
    try:
        return ids.number_of(hypothesis)
    except ValueError:
        raise LabError(f"{hypothesis!r} is no hypothesis; ids look like h-07") from None
