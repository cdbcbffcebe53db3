"""`autoresearch-tui mcp` with a real client, on a real lab."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from roles.workbench.workbench import bounded
from supervisor.model.snapshot import Hypothesis
from supervisor.model.states import ExperimentState, HypothesisState, Verdict, Wanted
from supervisor.store import agents, hypotheses
from supervisor.store.connection import Store
from tests.worlds.interactive import Call, ToyLab, launched
from tests.worlds.live import CLI

BETTER = ("X = 8.0", "X = 5.0")


def plan(toy: ToyLab, *titles: str) -> None:
    campaign = toy.snapshot().campaign
    assert campaign is not None
    new = tuple(Hypothesis(title, "it pays", f"{title}, in train.py") for title in titles)
    hypotheses.add_hypotheses(
        Store(toy.lab.db), campaign.tag, "chief", new, HypothesisState.OPEN, time.time(), first=False
    )


async def test_a_round_from_the_claim_to_the_leaderboard(measured: ToyLab) -> None:
    plan(measured, "lower X")

    async def conversation(call: Call) -> None:
        assert "lower X" in (await call("brief")).text
        claimed = await call("claim_hypothesis")
        assert "change: lower X, in train.py" in claimed.text
        assert str(measured.canvas.parent) in claimed.text
        assert measured.snapshot().hypotheses[0].claimed_by == "junior-1"
        measured.edit(*BETTER)

        began = time.monotonic()
        handed = await call("run_experiment", title="X 5", expectation="nearer to 3")
        assert time.monotonic() - began < 10  # at once: it is not measured yet
        assert handed["state"] == ExperimentState.READY

        decided = await call("wait", experiment=handed["experiment"], seconds=45)
        while decided["state"] != ExperimentState.DECIDED:
            decided = await call("wait", experiment=handed["experiment"], seconds=45)
        assert decided["verdict"] == Verdict.KEEP
        assert float(decided["gain"].split()[0]) == pytest.approx(21, abs=0.5)
        low, _, high = decided["interval"].partition(" to ")
        assert 15 < float(low) < 21 < float(high) < 27

        kept = await call("reflect", experiment=handed["experiment"], text="expected less, got more")
        assert kept.text.startswith("kept")
        board = await call("leaderboard")
        assert f"1. {handed['experiment']} keep" in board.text
        published = await call("publish_note", title="X pays", text="lower it\n---\nmore \x1b[31mred")
        listed = (await call("notes")).text
        assert published["published"] in listed and "> more red" in listed and "\x1b" not in listed

    await measured.talk(conversation)
    (mine,) = (e for e in measured.snapshot().experiments if e.agent)
    assert (mine.title, mine.expectation, mine.reflection) == (
        "X 5",
        "nearer to 3",
        "expected less, got more",
    )
    assert measured.snapshot().notes[0].author == "junior-1"


async def test_refusals_come_back_as_text_and_can_be_mended(toy: ToyLab) -> None:
    async def conversation(call: Call) -> None:
        early = await call("run_experiment", title="t", expectation="e")
        assert early.is_error and "claim_hypothesis" in early.text
        await call("claim_hypothesis", own_idea=True)
        nothing = await call("run_experiment", title="t", expectation="e")
        assert nothing.is_error and "nothing is changed" in nothing.text

        readme = toy.canvas.parent / "README.md"
        toy.edit(*BETTER)
        readme.write_text("mine\n")
        outside = await call("run_experiment", title="t", expectation="e")
        assert not outside.is_error
        assert outside["refused"] == "protected path changed: README.md"
        assert outside["verdict"] == "rejected"

        readme.write_text("a toy\n")  # the rest of the edit is still there
        mended = await call("run_experiment", title="X 5", expectation="e")
        assert mended["state"] == "ready"

        await call("claim_hypothesis", own_idea=True)
        assert "X = 8.0" in toy.canvas.read_text()
        toy.edit(*BETTER)
        twin = await call("run_experiment", title="the same", expectation="e")
        assert twin["refused"] == f"tried before: the same code as {mended['experiment']}"

    await toy.talk(conversation)
    first, second, third = (e for e in toy.snapshot().experiments if e.agent)
    assert [first.verdict, second.verdict, third.verdict] == [Verdict.REJECTED, None, Verdict.REJECTED]
    assert second.parent_commit == first.parent_commit  # the refused commit is not in its history


async def test_what_is_open_is_given_again_with_its_edits(toy: ToyLab) -> None:
    plan(toy, "one", "two")

    async def conversation(call: Call) -> None:
        assert "by chief: one" in (await call("claim_hypothesis")).text
        toy.edit(*BETTER)
        assert "by chief: one" in (await call("claim_hypothesis")).text
        assert "X = 5.0" in toy.canvas.read_text()
        thought = await call("record_thought", text="it can't work")
        assert thought["verdict"] == "thought"
        assert "by chief: two" in (await call("claim_hypothesis")).text

    await toy.talk(conversation)
    first = next(e for e in toy.snapshot().experiments if e.agent)
    assert (first.verdict, first.title, first.reason) == (Verdict.THOUGHT, "one", "it can't work")


async def test_wrong_input_is_one_line(toy: ToyLab) -> None:
    async def conversation(call: Call) -> None:
        for answer, said in (
            (await call("wait", experiment="e9999\n\x1b[2J", seconds=1e9), "ids look like e0012"),
            (await call("wait"), "experiment"),
            (await call("publish_note", title="x" * 201, text="t"), "200 are allowed"),
            (await call("publish_note", title="\u200b", text="t"), "title is empty"),
            (await call("publish_note", title="t", text="x" * 8001), "8000 are allowed"),
            (await call("record_thought", text=" "), "text is empty"),
            (await call("reflect", experiment="e0000", text="t"), "reflect on your own"),
            (await call("notes", note="../lab"), "call notes()"),
        ):
            assert answer.is_error and said in answer.text, answer.text
            assert "\n" not in answer.text and "\x1b" not in answer.text

    await toy.talk(conversation)
    assert [e for e in toy.snapshot().experiments if e.agent] == []


def test_half_a_character_is_no_fault() -> None:
    assert bounded("text", "\ud83d fine", 10) == "? fine"


async def test_what_the_person_says_comes_with_the_next_answer(toy: ToyLab) -> None:
    campaign = toy.snapshot().campaign
    assert campaign is not None
    store = Store(toy.lab.db)
    (number,) = agents.send_message(store, campaign.tag, ("junior-1",), "stay small", "person", time.time())

    async def conversation(call: Call) -> None:
        assert "The person says: stay small" in (await call("brief")).text
        assert "stay small" not in (await call("brief")).text

    await toy.talk(conversation)
    assert agents.unread_messages(store, (number,)) == ()


@pytest.mark.parametrize(
    ("config", "agent", "said"),
    [
        ("", "junior-1", "`autoresearch-tui takeover junior-1` first"),
        ("", "chief", "experiments are a junior's"),
    ],
)
async def test_a_client_does_not_work_where_somebody_else_does(
    tmp_path: Path, config: str, agent: str, said: str
) -> None:
    toy = launched(tmp_path / "lab", config)

    async def conversation(call: Call) -> None:
        refused = await call("claim_hypothesis")
        assert refused.is_error and said in refused.text
        assert not (await call("leaderboard")).is_error
        assert "nothing is open" in (await call("brief")).text

    await toy.talk(conversation, agent)


async def test_two_agents_have_a_worktree_each(tmp_path: Path) -> None:
    toy = launched(
        tmp_path / "lab", '\n[agents]\njunior = { backend = "codex", mode = "interactive" }\n', juniors=2
    )

    async def conversation(call: Call) -> None:
        claimed = await call("claim_hypothesis", own_idea=True)
        assert str(toy.lab.worktrees_dir / "junior-2") in claimed.text

    await toy.talk(conversation, "junior-2")
    assert [e.agent for e in toy.snapshot().experiments] == ["", "junior-2"]


async def test_a_paused_agent_begins_nothing(toy: ToyLab) -> None:
    campaign = toy.snapshot().campaign
    assert campaign is not None
    agents.want_agents(Store(toy.lab.db), campaign.tag, ("junior-1",), Wanted.PAUSED, time.time())

    async def conversation(call: Call) -> None:
        refused = await call("claim_hypothesis")
        assert refused.is_error and "`autoresearch-tui resume junior-1`" in refused.text

    await toy.talk(conversation)


@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        (("--agent", "junior-9"), {}, "there is no agent 'junior-9'; there are: chief, junior-1"),
        ((), {}, "which agent? name it with --agent"),
        (("--agent", "junior-1"), {"AUTORESEARCH_AGENT": "junior-2"}, "this is junior-2's window"),
    ],
)
def test_an_unknown_caller_is_one_line(
    toy: ToyLab,
    words: tuple[str, ...],
    environment: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run(
        [CLI, "mcp", *words], cwd=toy.lab.root, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and done.stdout == ""
    assert said in done.stderr and len(done.stderr.splitlines()) == 1
