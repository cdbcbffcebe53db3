"""What a model answers, as data: JSON found anywhere in its text, checked, bounded, and free of control characters.

An `AnswerError` is one line that the model itself can act on: a backend may show it once and ask again.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from roles.backend import EditResult
from supervisor.model.snapshot import Hypothesis
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
# Said of a model in pydantic's schemas, and refused or of no use where schemas are strict.
_NOT_STRICT = frozenset({"$defs", "title", "default", "minLength", "minItems"})
_DECODER = json.JSONDecoder(strict=False, parse_constant=lambda _: None)


class AnswerError(Exception):
    """The answer can't be used; the text is one line, told to the model when it is asked again."""


def plan_of(
    text: str | Mapping[str, Any], *, wanted: int = MOST_HYPOTHESES
) -> tuple[tuple[Hypothesis, ...], str]:
    """The hypotheses, `wanted` of them at the most, and the summary. Raises AnswerError."""
    plan = _validated(text, _PlanAnswer)
    wanted = min(max(wanted, 1), MOST_HYPOTHESES)
    return tuple(Hypothesis(**answer.model_dump()) for answer in plan.hypotheses[:wanted]), plan.summary


def edit_of(text: str | Mapping[str, Any]) -> EditAnswer:
    """How an edit ended, in the model's words. Raises AnswerError."""
    return _validated(text, EditAnswer)


def reflection_of(text: str | Mapping[str, Any]) -> tuple[str, str, str]:
    """Text, note title and note text; without a note the last two are "". Raises AnswerError."""
    answer = _validated(text, _ReflectionAnswer)
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
        value = " ".join(text for text in value if isinstance(text, str))
    if isinstance(value, str):
        return tuple(dict.fromkeys(_EXPERIMENT.findall(value)))[:MOST_IDS]
    return () if value is None else value


def _parent(value: object) -> object:
    ids = _EXPERIMENT.findall(value) if isinstance(value, str) else []
    return ids[0] if len(ids) == 1 else None


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


def _or_none(value: object) -> object:
    return None if value == "" else value


def _result(value: object) -> object:
    return re.sub(r"[\s_]+", "-", value.strip().lower()) if isinstance(value, str) else value


_Line = Annotated[str, BeforeValidator(lambda v: _clean(v, LINE, line=True))]
_Paragraph = Annotated[str, BeforeValidator(lambda v: _clean(v, PARAGRAPH, line=False))]
_Page = Annotated[str, BeforeValidator(lambda v: _clean(v, PAGE, line=False))]
_Figure = Annotated[float | None, BeforeValidator(_figure)]
_YesOrNo = Annotated[bool | None, BeforeValidator(_or_none)]
_Parent = Annotated[str | None, BeforeValidator(_parent)]
_Ids = Annotated[tuple[str, ...], BeforeValidator(_known_ids)]
# Unchanged is what the worktree says, not the model.
_RESULTS = [result.value for result in EditResult if result is not EditResult.UNCHANGED]
_Result = Annotated[
    EditResult, BeforeValidator(_result), WithJsonSchema({"type": "string", "enum": _RESULTS})
]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, frozen=True)


class _HypothesisAnswer(_Answer):
    """A `Hypothesis` without `edit`: that is what a backend tells itself, never what a model says."""

    title: _Line = Field(min_length=1, description="the change itself, one line")
    rationale: _Paragraph = Field(
        "", description="why it should help, citing experiments by id with their figures"
    )
    change: _Page = Field(
        min_length=1, description="what to edit, so exactly that two engineers make the same diff"
    )
    expected_gain: _Figure = Field(
        None, description="in the metric's unit, positive is better; null: nothing speaks to it"
    )
    category: _Line = Field("", description="one word: attention, optimizer, schedule, …")
    parent_id: _Parent = Field(None, description="an experiment to build on; null: the taker's incumbent")
    risk: _Paragraph = Field("", description="what could go wrong")
    builds_on: _Ids = Field((), description="ids of what speaks for it")
    falsified_by: _Paragraph = Field("", description="the outcome that would show that it is wrong")
    independent: _YesOrNo = Field(
        None, description="true when it can be tested whatever the others of this plan bring"
    )


class _PlanAnswer(_Answer):
    hypotheses: list[_HypothesisAnswer] = Field(min_length=1, description="as many as wanted, best first")
    summary: _Page = Field(
        "", description="one paragraph: what the lab knows, what limits it, what these would tell"
    )


class EditAnswer(_Answer):
    """What a junior says about its edit; the worktree says what it did."""

    result: _Result = Field(description="how it ended")
    title: _Line = Field("", description="what was changed, one line")
    expectation: _Paragraph = Field(
        "",
        description="written before the edit: what it should do to the metric, by how much, what would refute it",
    )
    explanation: _Paragraph = Field(
        "",
        description="the argument of a thought, why it does not apply, the question; empty after an edit",
    )

    @model_validator(mode="after")
    def _says_enough(self) -> EditAnswer:
        if self.result is EditResult.EDITED:
            missing = "title" if not self.title else "expectation" if not self.expectation else ""
        else:
            missing = "" if self.explanation else "explanation"
        if missing:
            raise ValueError(f'"{missing}" must not be empty when "result" is "{self.result}"')
        return self


class _ReflectionAnswer(_Answer):
    text: _Paragraph = Field(
        min_length=1, description="expected, seen, what it means for the next experiment; a few lines"
    )
    note_title: _Line | None = Field(None, description="of a note for the others; null without one")
    note_text: _Page | None = Field(
        None, description="only what would change what another engineer tries; null without one"
    )


_T = TypeVar("_T", bound=_Answer)


def _validated(text: str | Mapping[str, Any], model: type[_T]) -> _T:
    """The last object that is an answer of this kind."""
    objects = [dict(text)] if isinstance(text, Mapping) else list(_objects(text))
    required = {key for key, field in model.model_fields.items() if field.is_required()}
    problem = ""
    for candidate in reversed(objects):
        try:
            return model.model_validate(candidate)
        except ValidationError as error:
            # Without one of them it is no answer, but a piece of a cut one or an example.
            if required & candidate.keys():
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
            candidate, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield candidate
        at = text.find("{", end)


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return one_line(f"{place}: {message}" if place else message)[:300]


def _strict_schema(model: type[_Answer]) -> dict[str, Any]:
    """What an answer looks like, as clients with strict schemas take it: every key required, no references."""
    schema = model.model_json_schema()

    def strict(part: dict[str, Any]) -> dict[str, Any]:
        if reference := part.pop("$ref", ""):
            part |= schema["$defs"][reference.rpartition("/")[2]]
        if "anyOf" in part:
            part["type"] = [option["type"] for option in part.pop("anyOf")]
        if "items" in part:
            part["items"] = strict(part["items"])
        if "properties" in part:
            part["properties"] = {name: strict(value) for name, value in part["properties"].items()}
            part |= {"required": list(part["properties"]), "additionalProperties": False}
            # The class's docstring, which is for us.
            part.pop("description", None)
        return {key: value for key, value in part.items() if key not in _NOT_STRICT}

    return strict(schema)


PLAN_SCHEMA = _strict_schema(_PlanAnswer)
EDIT_SCHEMA = _strict_schema(EditAnswer)
REFLECT_SCHEMA = _strict_schema(_ReflectionAnswer)
