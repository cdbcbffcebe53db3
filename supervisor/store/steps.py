"""Writing and adding up: what each step of thinking cost."""

from __future__ import annotations

from typing import Any

from supervisor.model import ids
from supervisor.model.experiment import Spending
from supervisor.model.records import ThinkingStep
from supervisor.store import rows
from supervisor.store.connection import Connection, Store


def record_step(store: Store, tag: str, step: ThinkingStep) -> None:
    """Keep the step; what agents and experiments cost is the sum of theirs."""
    with store.transaction() as db:
        rows.insert(db, "steps", rows.columns_of(step), tag=tag)


def read_steps(store: Store, experiment_id: str) -> tuple[ThinkingStep, ...]:
    """The steps of thinking about one experiment, oldest first. Raises StoreError."""
    query = "FROM steps WHERE experiment_id = ? ORDER BY id"
    return rows.read(store.connection, ThinkingStep, query, (ids.number_of(experiment_id),))


def spending_by(
    db: Connection, owner: str, condition: str, parameters: tuple[Any, ...]
) -> dict[Any, Spending]:
    """What the steps under this condition cost, by the column `owner`."""
    sums = db.execute(
        f"SELECT {owner}, count(*), sum(usd), max(usd_is_estimate AND usd > 0), max(usd), sum(input_tokens), "
        "sum(output_tokens), sum(cache_read_tokens), sum(cache_write_tokens), coalesce(max(CASE WHEN "
        "usd_is_estimate AND usd = 0 AND output_tokens > 0 THEN model END), '') "
        f"FROM steps WHERE {condition} GROUP BY {owner}",
        parameters,
    )
    return {
        name: Spending(steps, usd, bool(is_estimate), *others)
        for name, steps, usd, is_estimate, *others in sums
    }
