"""Writing: the plan."""

from __future__ import annotations

from dataclasses import replace

from supervisor.errors import LabError
from supervisor.model import ids
from supervisor.model.snapshot import Hypothesis
from supervisor.model.states import UNCLAIMED, HypothesisState
from supervisor.store import rows
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
    new_ids = []
    for offset, entry in enumerate(new):
        position = low - len(new) + offset if first else high + 1 + offset
        entry = replace(entry, state=state, author=author, position=position, created_at=now)
        columns = rows.columns_of(entry, without=("id", "claimed_by", "experiment_id"))
        new_ids.append(ids.hypothesis_id(rows.insert(db, "hypotheses", columns, tag=tag)))
    if new_ids:
        record_event(db, tag, now, author, f"proposed {', '.join(new_ids)}")
    return tuple(new_ids)


def claim_hypothesis(db: Connection, tag: str, agent: str) -> int | None:
    """Take the first open entry for this agent, inside its transaction; None when there is none."""
    row = db.execute(
        "SELECT id FROM hypotheses WHERE tag = ? AND state = ? ORDER BY position LIMIT 1",
        (tag, HypothesisState.OPEN),
    ).fetchone()
    if row is None:
        return None
    rows.update(db, "hypotheses", {"id": row["id"]}, state=HypothesisState.CLAIMED, claimed_by=agent)
    return int(row["id"])


def set_hypothesis_state(store: Store, tag: str, hypothesis: str, state: HypothesisState, now: float) -> None:
    """The person's yes or no, or a return to the queue. Raises LabError when it is no longer waiting."""
    number = _number(hypothesis)
    with store.transaction() as db:
        waiting = {"tag": tag, "id": number, "state": UNCLAIMED}
        if not rows.update(db, "hypotheses", waiting, state=state, claimed_by=None):
            raise LabError(f"{hypothesis} is not waiting in the plan; `autoresearch-tui plan` shows what is")
        record_event(db, tag, now, "person", f"{hypothesis}: {state}")


def move_hypothesis(store: Store, tag: str, hypothesis: str, before: str | None, now: float) -> None:
    """Put an entry right before another one, or first with None. Raises LabError for an unknown id."""
    number = _number(hypothesis)
    with store.transaction() as db:
        query = "SELECT id, position FROM hypotheses WHERE tag = ? ORDER BY position"
        places: dict[int, float] = dict(db.execute(query, (tag,)).fetchall())
        order = [(entry, position) for entry, position in places.items() if entry != number]
        target = order[0][0] if before is None and order else _number(before or hypothesis)
        for entry in (number, target):
            if entry not in places:
                raise LabError(f"there is no {ids.hypothesis_id(entry)}; `autoresearch-tui plan` lists them")
        index = next((i for i, (entry, _) in enumerate(order) if entry == target), 0)
        above = order[index - 1][1] if index else order[0][1] - 2 if order else 0.0
        below = order[index][1] if order else 0.0
        rows.update(db, "hypotheses", {"id": number}, position=(above + below) / 2)
        record_event(db, tag, now, "person", f"moved {ids.hypothesis_id(number)}")


def _number(hypothesis: str) -> int:
    try:
        return ids.number_of(hypothesis)
    except ValueError:
        raise LabError(f"{hypothesis!r} is no hypothesis; ids look like h-07") from None
