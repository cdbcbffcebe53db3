"""What a model answers, as data: JSON found anywhere in its text, checked, bounded, and free of control characters.

An `AnswerError` is one line that the model itself can act on: a backend may show it once and ask again.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from roles.backend import EditResult, ProposedHypothesis
from supervisor.text import one_line, plain

__all__ = [
    "EDIT_SCHEMA",
    "PLAN_SCHEMA",
    "REFLECT_SCHEMA",
    "AnswerError",
    "EditAnswer",
    "edit_of",
    "plan_of",
    "reflection_of",
]

MOST_HYPOTHESES = 32  # of one plan, whatever was wanted
LONGEST_ANSWER = 400_000  # characters that are looked through, from the end
MOST_IDS = 16  # experiments that one hypothesis builds on
MOST_TRIES = 500  # braces at which an object is looked for
LINE, PARAGRAPH, PAGE = 160, 2_000, 6_000  # characters of a title, a reason, a note
_EXPERIMENT = re.compile(r"\be\d{1,9}\b")
_DECODER = json.JSONDecoder(strict=False, parse_constant=lambda _: None)


class AnswerError(Exception):
    """The answer can't be used; the text is one line, told to the model when it is asked again."""


@dataclass(frozen=True, slots=True)
class EditAnswer:
    """What a junior says about its edit; the worktree says what it did."""

    result: EditResult
    title: str
    expectation: str
    explanation: str


def plan_of(
    text: str | Mapping[str, Any], *, wanted: int = MOST_HYPOTHESES
) -> tuple[tuple[ProposedHypothesis, ...], str]:
    """The hypotheses, `wanted` of them at the most, and the summary. Raises AnswerError."""
    answer = _validated(text, _Plan)
    hypotheses = tuple(h.proposed() for h in answer.hypotheses[: min(max(wanted, 1), MOST_HYPOTHESES)])
    return hypotheses, answer.summary


def edit_of(text: str | Mapping[str, Any]) -> EditAnswer:
    """How an edit ended, in the model's words. Raises AnswerError."""
    answer = _validated(text, _Edit)
    return EditAnswer(answer.result, answer.title, answer.expectation, answer.explanation)


def reflection_of(text: str | Mapping[str, Any]) -> tuple[str, str, str]:
    """Text, note title and note text; without a note the last two are "". Raises AnswerError."""
    answer = _validated(text, _Reflection)
    if not answer.note_text:
        return answer.text, "", ""
    return answer.text, answer.note_title or one_line(answer.note_text)[:LINE], answer.note_text


def _clean(value: object, longest: int, *, line: bool) -> object:
    if value is None:
        return ""
    if not isinstance(value, str):
        return value  # for pydantic to name
    # A lone surrogate can be written in JSON, and nowhere else.
    whole = value.encode("utf-8", "ignore").decode("utf-8")
    text = one_line(whole) if line else plain(whole).strip()
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _known_ids(value: object) -> object:
    if isinstance(value, list | tuple):
        value = " ".join(each for each in value if isinstance(each, str))
    if isinstance(value, str):
        return tuple(dict.fromkeys(_EXPERIMENT.findall(value)))[:MOST_IDS]
    return () if value is None else value


def _parent(value: object) -> object:
    found = _EXPERIMENT.findall(value) if isinstance(value, str) else []
    return found[0] if len(found) == 1 else None


def _figure(value: object) -> object:
    if isinstance(value, bool):
        return str(value)  # for pydantic to name
    if isinstance(value, int | float):
        number = _as_float(value)
        return number if math.isfinite(number) else None
    return None if value == "" else value


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _said(value: object) -> object:
    return None if value == "" else value


def _result(value: object) -> object:
    return re.sub(r"[\s_]+", "-", value.strip().lower()) if isinstance(value, str) else value


_Line = Annotated[str, BeforeValidator(lambda v: _clean(v, LINE, line=True))]
_Paragraph = Annotated[str, BeforeValidator(lambda v: _clean(v, PARAGRAPH, line=False))]
_Page = Annotated[str, BeforeValidator(lambda v: _clean(v, PAGE, line=False))]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class _Hypothesis(_Answer):
    title: Annotated[_Line, Field(min_length=1)]
    rationale: _Paragraph = ""
    change: Annotated[_Page, Field(min_length=1)]
    expected_gain: Annotated[float | None, BeforeValidator(_figure)] = None
    category: _Line = ""
    parent_id: Annotated[str | None, BeforeValidator(_parent)] = None
    risk: _Paragraph = ""
    builds_on: Annotated[tuple[str, ...], BeforeValidator(_known_ids)] = ()
    falsified_by: _Paragraph = ""
    independent: Annotated[bool | None, BeforeValidator(_said)] = None

    def proposed(self) -> ProposedHypothesis:
        """`edit` stays empty: it is what a backend tells itself, never what a model says."""
        return ProposedHypothesis(
            title=self.title,
            rationale=self.rationale,
            change=self.change,
            expected_gain=self.expected_gain,
            category=self.category,
            parent_id=self.parent_id,
            risk=self.risk,
            builds_on=self.builds_on,
            falsified_by=self.falsified_by,
            independent=self.independent,
        )


class _Plan(_Answer):
    hypotheses: Annotated[list[_Hypothesis], Field(min_length=1)]
    summary: _Page = ""


class _Edit(_Answer):
    result: Annotated[EditResult, BeforeValidator(_result)]
    title: _Line = ""
    expectation: _Paragraph = ""
    explanation: _Paragraph = ""

    @model_validator(mode="after")
    def _says_enough(self) -> _Edit:
        if self.result is EditResult.EDITED:
            missing = "title" if not self.title else "expectation" if not self.expectation else ""
        else:
            missing = "" if self.explanation else "explanation"
        if missing:
            raise ValueError(f'"{missing}" must not be empty when "result" is "{self.result}"')
        return self


class _Reflection(_Answer):
    text: Annotated[_Paragraph, Field(min_length=1)]
    note_title: _Line = ""
    note_text: _Page = ""


_T = TypeVar("_T", bound=_Answer)


def _validated(text: str | Mapping[str, Any], model: type[_T]) -> _T:
    """The last object that is an answer of this kind."""
    objects = [dict(text)] if isinstance(text, Mapping) else list(_objects(text))
    required = {key for key, field in model.model_fields.items() if field.is_required()}
    problem = ""
    for each in reversed(objects):
        try:
            return model.model_validate(each)
        except ValidationError as error:
            if required & each.keys():  # else it is no answer, but a piece of a cut one or an example
                problem = problem or _first_problem(error)
    keys = ", ".join(f'"{key}"' for key in model.model_fields if key in required)
    raise AnswerError(
        problem or f"there is no complete JSON object in the answer; end it with one that has {keys}"
    )


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Every JSON object of the text that is in no other, in order; fenced or not."""
    text = text[-LONGEST_ANSWER:]
    at = text.find("{")
    for _ in range(MOST_TRIES):
        if at < 0:
            return
        try:
            found, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield found
        at = text.find("{", end)


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return one_line(f"{place}: {message}" if place else message)[:300]


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
