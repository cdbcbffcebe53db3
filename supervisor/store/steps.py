"""Writing: what each step of thinking cost."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.store import ids
from supervisor.store.connection import Store


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a backend, from its start to its end."""

    agent: str
    kind: str  # "plan", "edit" or "reflect"
    experiment_id: str | None  # None: a plan
    backend: str
    model: str
    started_at: float
    ended_at: float
    ending: str  # an EditResult, "done", "parked" or "failed"
    detail: str = ""
    usd: float = 0.0
    usd_is_estimate: bool = False  # from the price table, not from the client
    input_tokens: int = 0  # those read from or written to a cache left out
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens


def record_step(store: Store, tag: str, step: Step) -> None:
    """Keep the step, and add its cost to its agent's and its experiment's."""
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
        db.execute(
            "UPDATE agents SET cost_usd = cost_usd + ?, tokens = tokens + ? WHERE tag = ? AND name = ?",
            (step.usd, step.tokens, tag, step.agent),
        )
        db.execute("UPDATE experiments SET cost_usd = cost_usd + ? WHERE id = ?", (step.usd, number))
