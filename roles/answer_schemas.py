"""The shapes of a model's answers as JSON schemas: strict ones, every key required, so that any provider takes them."""

from __future__ import annotations

from typing import Any


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _or_null(kind: str, description: str) -> dict[str, Any]:
    return {"type": [kind, "null"], "description": description}


PLAN_SCHEMA: dict[str, Any] = _object(
    hypotheses={
        "type": "array",
        "description": "as many as wanted, best first",
        "items": _object(
            title=_text("the change itself, one line"),
            rationale=_text("why it should help, citing experiments by id with their figures"),
            change=_text("what to edit, so exactly that two engineers make the same diff"),
            expected_gain=_or_null("number", "in the metric's unit, positive is better; null: nothing speaks to it"),
            category=_text("one word: attention, optimizer, schedule, …"),
            parent_id=_or_null("string", "an experiment to build on; null: the taker's incumbent"),
            risk=_text("what could go wrong"),
            builds_on={"type": "array", "items": {"type": "string"}, "description": "ids of what speaks for it"},
            falsified_by=_text("the outcome that would show that it is wrong"),
            independent=_or_null("boolean", "true when it can be tested whatever the others of this plan bring"),
        ),
    },
    summary=_text("one paragraph: what the lab knows, what limits it, what these would tell"),
)  # fmt: skip

EDIT_SCHEMA: dict[str, Any] = _object(
    result={
        "type": "string",
        "enum": ["edited", "thought", "not-applicable", "refused", "question"],
        "description": "how it ended",
    },
    title=_text("what was changed, one line"),
    expectation=_text(
        "written before the edit: what it should do to the metric, by how much, what would refute it"
    ),
    explanation=_text("the argument of a thought, why it does not apply, the question; empty after an edit"),
)

REFLECT_SCHEMA: dict[str, Any] = _object(
    text=_text("expected, seen, what it means for the next experiment; a few lines"),
    note_title=_or_null("string", "of a note for the others; null without one"),
    note_text=_or_null("string", "only what would change what another engineer tries; null without one"),
)
