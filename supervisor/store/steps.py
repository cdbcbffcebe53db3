"""Writing and adding up: what each step of thinking cost."""

from __future__ import annotations

from typing import Any

from supervisor.model import ids
from supervisor.model.experiment import Spending
from supervisor.model.records import Step
from supervisor.store.connection import Connection, Store


def record_step(store: Store, tag: str, step: Step) -> None:
    """Keep the step; what agents and experiments cost is the sum of theirs."""
    number = ids.optional_number(step.experiment_id)
    with store.transaction() as db:
        db.execute(
            "INSERT INTO steps (tag, agent, experiment_id, kind, backend, model, started_at, ended_at, ending, detail, "
            "usd, usd_is_estimate, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens) "
            "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                tag,
                step.agent,
                number,
                step.kind,
                step.backend,
                step.model,
                step.started_at,
                step.ended_at,
                step.ending,
                step.detail,
                step.usd,
                step.usd_is_estimate,
                step.input_tokens,
                step.output_tokens,
                step.cache_read_tokens,
                step.cache_write_tokens,
            ),
        )


def read_steps(store: Store, experiment_id: str) -> tuple[Step, ...]:
    """The steps of thinking about one experiment, oldest first. Raises StoreError."""
    number = ids.optional_number(experiment_id)
    rows = store.connection.execute("SELECT * FROM steps WHERE experiment_id = ? ORDER BY id", (number,))
    return tuple(
        Step(
            agent=row["agent"],
            kind=row["kind"],
            experiment_id=experiment_id,
            backend=row["backend"],
            model=row["model"],
            started_at=row["started_at"],
            ended_at=row["ended_at"],
            ending=row["ending"],
            detail=row["detail"],
            usd=row["usd"],
            usd_is_estimate=bool(row["usd_is_estimate"]),
            input_tokens=row["input_tokens"],
            output_tokens=row["output_tokens"],
            cache_read_tokens=row["cache_read_tokens"],
            cache_write_tokens=row["cache_write_tokens"],
        )
        for row in rows
    )


def spending_by(db: Connection, tag: str, column: str) -> dict[Any, Spending]:
    """What the campaign's steps cost, by "agent" or by "experiment_id" (a number, None for plans)."""
    assert column in ("agent", "experiment_id")
    rows = db.execute(
        f"SELECT {column} AS owner, count(*) AS steps, sum(usd) AS usd, max(usd_is_estimate AND usd > 0) AS estimate, "
        "max(usd) AS largest, sum(input_tokens) AS i, sum(output_tokens) AS o, sum(cache_read_tokens) AS r, "
        "sum(cache_write_tokens) AS w, max(CASE WHEN usd_is_estimate AND usd = 0 AND output_tokens > 0 "
        f"THEN model END) AS unpriced FROM steps WHERE tag = ? GROUP BY {column}",
        (tag,),
    )
    return {
        row["owner"]: Spending(
            row["steps"],
            row["usd"],
            bool(row["estimate"]),
            row["largest"],
            row["i"],
            row["o"],
            row["r"],
            row["w"],
            row["unpriced"] or "",
        )
        for row in rows
    }
