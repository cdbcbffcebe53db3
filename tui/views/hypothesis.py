"""What a hypothesis says of itself beside its change, for the command line and the screen."""

from __future__ import annotations

from supervisor.model.snapshot import Hypothesis

_INDEPENDENT = {True: "of the others of its plan", False: "no: it hangs on others of its plan", None: ""}


def hypothesis_facts(one: Hypothesis) -> tuple[tuple[str, str], ...]:
    """Names and texts; those that it does not say are left out."""
    facts = (
        ("Why", one.rationale),
        ("Risk", one.risk),
        ("Builds on", ", ".join(one.builds_on)),
        ("Falsified by", one.falsified_by),
        ("Independent", _INDEPENDENT[one.independent]),
        ("Parent", one.parent_id or ""),
    )
    return tuple(fact for fact in facts if fact[1])
