"""A call of the backend: how it ended, and what it cost."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from roles.backend import BackendError, Cost, ParkedError
from supervisor.model.records import ThinkingStep


@dataclass(slots=True)
class StepRecord:
    """A call of the backend, until it is over."""

    kind: str  # "plan", "edit", "reflect"
    experiment_id: str | None
    started_at: float = field(default_factory=time.time)
    ending: str = "failed"
    cost: Cost = field(default_factory=Cost)
    detail: str = ""

    def ended(self, ending: str, cost: Cost, detail: str = "") -> None:
        """Say how."""
        self.ending, self.cost, self.detail = ending, cost, detail

    def failed(self, error: BackendError) -> None:
        """It ended with this error."""
        self.ended("parked" if isinstance(error, ParkedError) else "failed", error.cost, str(error))

    def row(self, agent: str, backend: str) -> ThinkingStep:
        """As the lab keeps it."""
        cost = self.cost
        usd, is_estimate, unpriced = priced(cost)
        return ThinkingStep(
            agent, self.kind, self.experiment_id, backend, cost.model, self.started_at, time.time(), self.ending,
            self.detail or unpriced, usd, is_estimate, cost.input_tokens, cost.output_tokens,
            cost.cache_read_tokens, cost.cache_write_tokens,
        )  # fmt: skip


def priced(cost: Cost) -> tuple[float, bool, str]:
    """Dollars, whether they are an estimate by public list prices, and what is not known of them ("": nothing)."""
    if cost.usd is not None:
        return cost.usd, False, ""
    if not cost.tokens:
        return 0.0, True, ""
    from genai_prices import Usage, calc_price  # a quarter of a second that the offline backend need not pay

    # The table counts what a cache gave and took among the input.
    usage = Usage(
        input_tokens=cost.input_tokens + cost.cache_read_tokens + cost.cache_write_tokens,
        cache_read_tokens=cost.cache_read_tokens,
        cache_write_tokens=cost.cache_write_tokens,
        output_tokens=cost.output_tokens,
    )
    try:
        return float(calc_price(usage, model_ref=cost.model).total_price), True, ""
    except LookupError:
        return 0.0, True, f"no price is known for {cost.model or 'a model without a name'}"
