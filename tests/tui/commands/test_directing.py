"""`plan`, `notes`, `send` and the steering commands: what the person says reaches the store."""

from __future__ import annotations

import io
import json
import threading
import time

import pytest

from supervisor.lab.paths import Lab
from supervisor.model.snapshot import Hypothesis
from supervisor.model.states import HypothesisState, Wanted
from supervisor.store import agents, hypotheses
from tests.worlds.command_lines import Run
from tests.worlds.fast_motion import TAG, World


@pytest.fixture
def planned(world: World) -> tuple[str, str]:
    """Two hypotheses that wait for the person's yes; returns their ids."""
    new = (Hypothesis("depth 2", "fewer layers", "DEPTH = 2", 0.02, "depth"), Hypothesis("warm-down"))
    first, second = hypotheses.add_hypotheses(
        world.store, TAG, "chief", new, HypothesisState.PROPOSED, world.now, first=False
    )
    return first, second


def test_a_hypothesis_is_shown_with_all_that_it_says_of_itself(run: Run, world: World) -> None:
    one = Hypothesis(
        "depth 2", "fewer layers", "DEPTH = 2", 0.02, "depth",
        risk="too small", builds_on=("e0000",), falsified_by="a loss", independent=True,
    )  # fmt: skip
    hypotheses.add_hypotheses(world.store, TAG, "chief", (one,), HypothesisState.OPEN, world.now, first=False)
    said = run("plan", "show", "h-01").out
    for words in ("DEPTH = 2", "too small", "e0000", "a loss", "of the others of its plan"):
        assert words in said
    record = json.loads(run("plan", "show", "h-01", "--json").out)["hypotheses"][0]
    assert (record["risk"], record["builds_on"], record["independent"]) == ("too small", ["e0000"], True)
    assert "parent:" not in said
    assert run("plan", "show", "h-99").code == 1


def test_the_plan_lists_in_the_order_in_which_it_is_taken(run: Run, planned: tuple[str, str]) -> None:
    rows = run("plan").table
    assert [(row["id"], row["state"], row["expected"]) for row in rows] == [
        (planned[0], "proposed", "+.0200"),
        (planned[1], "proposed", "–"),
    ]
    answer = json.loads(run("plan", "--json").out)
    assert [entry["id"] for entry in answer["hypotheses"]] == list(planned)
    assert answer["hypotheses"][0]["rationale"] == "fewer layers"


def test_plan_approve_reject_move(run: Run, world: World, planned: tuple[str, str]) -> None:
    first, second = planned
    assert run("plan", "approve", first).out == f"{first} is open\n"
    assert run("plan", "move", second).code == 0
    assert [entry.id for entry in world.snapshot().hypotheses] == [second, first]
    assert run("plan", "move", second, "--before", first).code == 0
    assert run("plan", "reject", second).code == 0
    states = {entry.id: entry.state for entry in world.snapshot().hypotheses}
    assert states == {first: HypothesisState.OPEN, second: HypothesisState.WITHDRAWN}
    assert [row["id"] for row in run("plan").table] == [first]
    assert len(run("plan", "--all").table) == 2
    again = run("plan", "approve", second)
    assert (again.code, again.err) == (
        1, f"autoresearch-tui: {second} is not waiting in the plan; `autoresearch-tui plan` shows what is\n",
    )  # fmt: skip


def test_the_persons_hypothesis_goes_first(run: Run, world: World, planned: tuple[str, str]) -> None:
    said = json.loads(
        run("plan", "add", "RoPE base 50000", "--why", "short contexts", "--on", "e0000", "--json").out
    )
    first = world.snapshot().hypotheses[0]
    assert (first.id, first.author, first.rationale, first.change) == (
        said["id"], "person", "short contexts", "RoPE base 50000",
    )  # fmt: skip
    assert first.parent_id == "e0000"
    assert first.state is HypothesisState.OPEN
    assert run("plan", "add", "x", "--on", "e9").err.startswith(
        "autoresearch-tui: there is no experiment 'e9'"
    )
    assert run("plan", "add", " ").code == 2


def test_notes_are_added_listed_and_shown(run: Run, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Width pays more.\x1b[2J\n"))
    added = json.loads(run("notes", "add", "Depth 2 is enough", "-", "--json").out)["id"]
    (row,) = run("notes").table
    assert (row["id"], row["by"], row["title"]) == (added, "person", "Depth 2 is enough")
    assert run("notes", "show", added).out == "Width pays more.\n"
    shown = json.loads(run("notes", "show", added, "--json").out)["note"]
    assert (shown["title"], shown["experiment_id"]) == ("Depth 2 is enough", None)
    assert json.loads(run("notes", "--json").out)["notes"][0]["path"] == str(lab.notes_dir / f"{added}.md")
    assert run("notes", "show", "../lab").err.startswith("autoresearch-tui: there is no note '../lab'")


def test_a_message_reaches_the_agents_that_are_named(run: Run, world: World) -> None:
    said = run("send", "junior-1", "chief", "stay with depth 2")
    assert said.code == 0
    assert said.out.startswith("sent to junior-1 (message 1), chief (message 2)")
    assert agents.take_messages(world.store, TAG, "junior-1", world.now) == ("stay with depth 2",)
    assert agents.take_messages(world.store, TAG, "junior-2", world.now) == ()
    assert run("send", "--all", "hello").code == 0
    assert agents.take_messages(world.store, TAG, "junior-2", world.now) == ("hello",)


def test_the_receipt_says_who_has_read(run: Run, world: World) -> None:
    late = run("send", "junior-1", "hello", "--wait", "0")
    assert (late.code, late.err) == (
        1,
        "autoresearch-tui: not read yet by junior-1; it stays in their queue\n",
    )
    deadline = time.monotonic() + 20

    def read() -> None:
        while time.monotonic() < deadline and "again" not in agents.take_messages(
            world.store, TAG, "junior-1", 0.0
        ):
            pass

    reader = threading.Thread(target=read)
    reader.start()
    said = run("send", "junior-1", "again", "--wait", "20")
    reader.join()
    assert said.code == 0
    assert "junior-1 has read it" in said.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("send", "hello"), "name an agent and a text, or use --all"),
        (("send", "--all", "junior-1", "hello"), "with --all the text is the only argument"),
        (("send", "junior-1", " "), "the text is empty"),
    ],
)
def test_send_used_wrongly(run: Run, world: World, words: tuple[str, ...], said: str) -> None:
    result = run(*words)
    assert result.code == 2
    assert said in result.err


def test_an_unknown_agent_gets_nothing(run: Run, world: World) -> None:
    result = run("send", "junior-1", "junior-9", "hello")
    assert (result.code, "there is no agent 'junior-9'" in result.err) == (1, True)
    assert agents.take_messages(world.store, TAG, "junior-1", world.now) == ()  # all or nobody


@pytest.mark.parametrize(
    ("command", "wanted"), [("pause", Wanted.PAUSED), ("resume", Wanted.RUNNING), ("stop", Wanted.STOPPED)]
)
def test_agents_or_the_whole_lab_are_steered(run: Run, world: World, command: str, wanted: Wanted) -> None:
    assert run(command, "junior-2").out.startswith("junior-2: ")
    assert {agent.name: agent.wanted for agent in world.snapshot().agents}["junior-2"] is wanted
    assert run(command).out.startswith("the whole lab: ")
    campaign = world.snapshot().campaign
    assert campaign is not None
    assert campaign.wanted is wanted


def test_restart_asks_for_all_when_none_is_named(run: Run, world: World) -> None:
    assert run("restart").out.startswith("chief, junior-1, junior-2: restarts")
    assert set(agents.restarts_wanted(world.store, TAG)) == {"chief", "junior-1", "junior-2"}


def test_add_hires_with_the_labs_backend(run: Run, world: World) -> None:
    assert run("add", "--count", "2").out.startswith("junior-3 joins (offline)\njunior-4 joins (offline)\n")
    assert run("add", "--backend", "claude").out.startswith("junior-5 joins (claude)")
    assert run("add", "chief").err.startswith("autoresearch-tui: the lab has its chief")
    assert len(world.snapshot().agents) == 6


def test_what_waits_for_a_supervisor_says_so(run: Run, world: World) -> None:
    assert "the supervisor does not run, so this waits for `autoresearch-tui launch`" in run("pause").out


@pytest.mark.parametrize(
    "words", [("pause",), ("send", "chief", "x"), ("plan",), ("add",), ("restart",), ("attach",)]
)
def test_before_the_first_launch_directing_says_what_to_do(run: Run, words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.code == 1
    assert "yet; `autoresearch-tui launch` starts" in result.err
