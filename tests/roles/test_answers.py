"""What a model writes becomes data, or one line that it can act on."""

from __future__ import annotations

import json

import pytest

from roles.answers import (
    EDIT_SCHEMA,
    PLAN_SCHEMA,
    REFLECT_SCHEMA,
    AnswerError,
    edit_of,
    plan_of,
    reflection_of,
)
from roles.backend import EditResult

HYPOTHESIS = {
    "title": "Halve DEPTH",
    "rationale": "e0003 gained 0.1",
    "change": "DEPTH: 8 → 4",
    "expected_gain": 0.02,
    "category": "shape",
    "parent_id": None,
    "risk": "too small",
    "builds_on": ["e0003", "e0004"],
    "falsified_by": "a loss of two SDs",
    "independent": True,
}
PLAN = {"hypotheses": [HYPOTHESIS], "summary": "Small is fast."}
EDIT = {"result": "edited", "title": "Halve DEPTH", "expectation": "0.02 better", "explanation": ""}


def test_a_plan_has_every_field() -> None:
    (first,), summary = plan_of(json.dumps(PLAN))
    assert (first.title, first.change, first.expected_gain, first.category) == (
        "Halve DEPTH",
        "DEPTH: 8 → 4",
        0.02,
        "shape",
    )
    assert (first.risk, first.builds_on, first.falsified_by) == (
        "too small",
        ("e0003", "e0004"),
        "a loss of two SDs",
    )
    assert first.independent is True and first.parent_id is None and summary == "Small is fast."


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(EDIT),
        f"I did it.\n\n```json\n{json.dumps(EDIT, indent=1)}\n```\nDone.",
        f"a set {{x, y}} and {{python}} first: {json.dumps(EDIT)} and a brace {{ after",
        f'{{"result": "thought", "explanation": "an earlier try"}}\n{json.dumps(EDIT)}',
        f'{json.dumps(EDIT)}\n```json\n{{"something": "else"}}\n```',
        f'{{"unfinished": [1, 2\n{json.dumps(EDIT)}',
    ],
)
def test_the_last_object_that_validates_is_the_answer_wherever_it_stands(text: str) -> None:
    assert edit_of(text).title == "Halve DEPTH"


def test_an_answer_that_is_data_already_is_taken_as_it_is() -> None:
    assert edit_of(EDIT).result is EditResult.EDITED


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("I could not decide.", 'end it with one that has "hypotheses"'),
        ('{"hypotheses": []}', "hypotheses: "),
        ('{"hypotheses": [{"title": "x"}]}', "hypotheses.0.change: Field required"),
        (json.dumps({"hypotheses": [{**HYPOTHESIS, "expected_gain": "much"}]}), "hypotheses.0.expected_gain"),
        (json.dumps({"hypotheses": [{**HYPOTHESIS, "title": ["a"]}]}), "hypotheses.0.title"),
        (json.dumps(PLAN)[:-30], "end it with one"),
    ],
)
def test_what_is_wrong_with_a_plan_is_one_line(text: str, line: str) -> None:
    with pytest.raises(AnswerError) as error:
        plan_of(text)
    assert line in str(error.value) and "\n" not in str(error.value)


def test_an_edit_without_its_expectation_is_sent_back() -> None:
    with pytest.raises(AnswerError, match='"expectation" must not be empty when "result" is "edited"'):
        edit_of({**EDIT, "expectation": " "})
    with pytest.raises(AnswerError, match='"explanation" must not be empty when "result" is "question"'):
        edit_of({"result": "question"})


@pytest.mark.parametrize("said", ["not-applicable", "NOT APPLICABLE", "not_applicable"])
def test_a_result_is_known_however_it_is_spelled(said: str) -> None:
    assert edit_of({"result": said, "explanation": "no such knob"}).result is EditResult.NOT_APPLICABLE


def test_a_plan_is_cut_to_what_was_wanted() -> None:
    many = {"hypotheses": [{**HYPOTHESIS, "title": f"idea {n}"} for n in range(500)]}
    assert [h.title for h in plan_of(many, wanted=2)[0]] == ["idea 0", "idea 1"]
    assert len(plan_of(many)[0]) == 32


def test_texts_are_bounded_and_carry_no_controls() -> None:
    wild = {
        **HYPOTHESIS,
        "title": "a\x1b[2Jb\nc\u202e" + "x" * 9999,
        "rationale": "\ud800r\x00" + "y" * 99_999,
    }
    (first,), _ = plan_of(json.dumps({"hypotheses": [wild]}))
    assert first.title.startswith("ab c") and len(first.title) == 160 and first.title.endswith("…")
    assert first.rationale.startswith("ry") and len(first.rationale) == 2_000
    first.rationale.encode()


def test_ids_are_ids_or_nothing() -> None:
    wild = {**HYPOTHESIS, "parent_id": "the champion", "builds_on": "e0003 and e0004; see h-07"}
    (first,), _ = plan_of({"hypotheses": [wild]})
    assert first.parent_id is None and first.builds_on == ("e0003", "e0004")
    (second,), _ = plan_of({"hypotheses": [{**HYPOTHESIS, "parent_id": "e0012"}]})
    assert second.parent_id == "e0012"


@pytest.mark.parametrize("figure", ["NaN", "Infinity", "1e999", "1" + "0" * 400, "null", '""'])
def test_a_gain_that_is_no_number_is_none(figure: str) -> None:
    text = json.dumps({"hypotheses": [{**HYPOTHESIS, "expected_gain": 12345}]}).replace("12345", figure)
    assert plan_of(text)[0][0].expected_gain is None


def test_what_a_model_calls_an_edit_of_a_backend_is_not_taken() -> None:
    assert plan_of({"hypotheses": [{**HYPOTHESIS, "edit": '{"port_of": "e0001"}'}]})[0][0].edit == ""


def test_a_reflection_has_a_note_or_none() -> None:
    assert reflection_of({"text": "as expected", "note_title": "Depth pays", "note_text": None}) == (
        "as expected",
        "",
        "",
    )
    assert reflection_of('{"text": "worse", "note_text": "Depth costs."}') == (
        "worse",
        "Depth costs.",
        "Depth costs.",
    )


@pytest.mark.timeout(10)
@pytest.mark.parametrize("text", ["{" * 300_000, '{"a":' * 80_000, "[" * 300_000, "{}" * 200_000])
def test_a_hostile_text_ends_soon(text: str) -> None:
    with pytest.raises(AnswerError):
        edit_of(text)


@pytest.mark.parametrize("schema", [PLAN_SCHEMA, EDIT_SCHEMA, REFLECT_SCHEMA])
def test_schemas_are_strict(schema: dict[str, object]) -> None:
    def walk(part: object) -> None:
        if isinstance(part, dict):
            if part.get("type") == "object":
                assert part["required"] == list(part["properties"]) and part["additionalProperties"] is False
            for value in part.values():
                walk(value)

    walk(schema)
    json.dumps(schema)
