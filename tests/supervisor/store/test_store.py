"""The store under many writers, old and new schemas, and transitions that must happen once."""

from __future__ import annotations

import multiprocessing
import sqlite3
from importlib import resources
from pathlib import Path

import pytest

from supervisor.errors import LabError, StoreError
from supervisor.model.records import Judgement
from supervisor.model.snapshot import Hypothesis
from supervisor.model.states import AgentState, CampaignState, HypothesisState, Verdict, Wanted
from supervisor.store import agents, campaigns, experiments, hypotheses
from supervisor.store.connection import Store
from supervisor.store.reading import read_rows
from tests.worlds.fast_motion import TAG, World
from tests.worlds.racers import claim_many


def test_no_hypothesis_is_claimed_twice_by_many_processes(tmp_path: Path) -> None:
    world = World(tmp_path, juniors=4)
    new = tuple(Hypothesis(f"idea {n}") for n in range(60))
    hypotheses.add_hypotheses(world.store, TAG, "chief", new, HypothesisState.OPEN, 1.0, first=False)
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    names = [f"junior-{n}" for n in range(1, 5)]
    workers = [context.Process(target=claim_many, args=(tmp_path, name, answers)) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    begun = [identifier for _ in workers for identifier in answers.get()]
    assert len(begun) == len(set(begun)) == 60
    tested = [e.hypothesis_id for e in world.snapshot().experiments if e.agent]
    assert len(tested) == len(set(tested)) == 60


def test_a_transition_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    before = world.snapshot()
    with pytest.raises(ZeroDivisionError), world.store.transaction() as db:
        campaigns.record_event(db, TAG, 1.0, "", "half")
        raise ZeroDivisionError
    after = world.snapshot()
    assert (after.version, after.events) == (before.version, before.events)


def test_every_transition_raises_the_version(tmp_path: Path) -> None:
    world = World(tmp_path)
    before = world.store.version()
    agents.record_heartbeat(world.store, TAG, "junior-1", 5.0)
    assert world.store.version() == before + 1


def test_a_store_of_a_newer_tool_is_refused_in_one_line(tmp_path: Path) -> None:
    Store(tmp_path / "lab.db").close()
    connection = sqlite3.connect(tmp_path / "lab.db")
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(StoreError, match="newer autoresearch-tui") as error:
        Store(tmp_path / "lab.db")
    assert "\n" not in str(error.value)


def test_a_lab_of_an_earlier_schema_opens_with_what_it_holds(tmp_path: Path) -> None:
    folder = resources.files("supervisor.store") / "migrations"
    connection = sqlite3.connect(tmp_path / "lab.db")
    for script in sorted(entry.name for entry in folder.iterdir())[:6]:
        connection.executescript((folder / script).read_text())
    connection.executescript(
        """
        PRAGMA user_version = 6;
        INSERT INTO settings VALUES ('s', 'r', 'd', 'loss', 20.0, 'cpu', 'cpu');
        INSERT INTO campaigns (tag, state, wanted, base_commit, metric, direction, setting_id, started_at, seed)
        VALUES ('nov20', 'running', 'running', 'c', 'loss', 'lower', 's', 1.0, 1);
        INSERT INTO agents (tag, name, role, backend, state, state_since, wanted, cost_usd, tokens)
        VALUES ('nov20', 'chief', 'chief', 'offline', 'idle', 1.0, 'running', 0.5, 9);
        INSERT INTO hypotheses (tag, title, rationale, change, category, state, author, position, created_at,
        builds_on, claimed_at)
        VALUES ('nov20', 'an idea', 'r', 'c', 'x', 'claimed', 'chief', 1.0, 1.0, 'e0000 e0001', 2.0);
        """
    )
    connection.close()
    store = Store(tmp_path / "lab.db")
    lab = read_rows(store, tmp_path, 2.0, notes=(), supervisor_alive=False)
    assert [agent.name for agent in lab.agents] == ["chief"]
    assert [(one.title, one.builds_on) for one in lab.hypotheses] == [("an idea", ("e0000", "e0001"))]


def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "lab.db").write_bytes(b"not a database, but long enough to look at" * 100)
    with pytest.raises(StoreError, match="is the disk full, or the file damaged"):
        Store(tmp_path / "lab.db")


def test_a_verdict_is_given_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    begun = world.draft("junior-1")
    assert begun is not None
    judgement = Judgement(Verdict.CRASH, "it fell over")
    assert experiments.record_verdict(world.store, TAG, begun, judgement, 2.0)
    assert not experiments.record_verdict(world.store, TAG, begun, Judgement(Verdict.KEEP, "x"), 3.0)
    assert world.experiment(begun).verdict is Verdict.CRASH
    assert world.experiment(begun).runs == ()


def test_a_released_draft_puts_its_hypothesis_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    hypotheses.add_hypotheses(
        world.store, TAG, "chief", (Hypothesis("an idea"),), HypothesisState.OPEN, 1.0, first=False
    )
    begun = experiments.begin_experiment(world.store, TAG, "junior-1", 2.0, without_hypothesis=False)
    assert begun is not None
    assert world.snapshot().hypotheses[0].state is HypothesisState.CLAIMED
    experiments.release_experiment(world.store, begun)
    assert world.snapshot().hypotheses[0].state is HypothesisState.OPEN
    assert world.snapshot().experiment(begun) is None


def test_the_persons_hypothesis_goes_first_and_entries_move(tmp_path: Path) -> None:
    world = World(tmp_path)

    def titles() -> list[str]:
        return [h.title for h in world.snapshot().hypotheses]

    def add(title: str, *, first: bool) -> None:
        hypotheses.add_hypotheses(
            world.store, TAG, "x", (Hypothesis(title),), HypothesisState.OPEN, 1.0, first=first
        )

    add("a", first=False)
    add("b", first=False)
    add("mine", first=True)
    assert titles() == ["mine", "a", "b"]
    hypotheses.move_hypothesis(world.store, TAG, "h-02", "h-01", 2.0)
    assert titles() == ["mine", "b", "a"]
    hypotheses.move_hypothesis(world.store, TAG, "h-01", None, 2.0)
    assert titles() == ["a", "mine", "b"]
    with pytest.raises(LabError, match="there is no h-77"):
        hypotheses.move_hypothesis(world.store, TAG, "h-77", None, 2.0)
    with pytest.raises(LabError, match="'seven' is no hypothesis"):
        hypotheses.set_hypothesis_state(world.store, TAG, "seven", HypothesisState.OPEN, 2.0)


def test_messages_are_read_once_and_acknowledged(tmp_path: Path) -> None:
    world = World(tmp_path)
    numbers = agents.send_message(world.store, TAG, ("junior-1", "junior-2"), "try 3x", "person", 1.0)
    assert agents.take_messages(world.store, TAG, "junior-1", 2.0) == ("try 3x",)
    assert agents.take_messages(world.store, TAG, "junior-1", 3.0) == ()
    assert agents.unread_messages(world.store, numbers) == numbers[1:]
    with pytest.raises(LabError, match="there is no agent 'nobody'"):
        agents.send_message(world.store, TAG, ("nobody",), "x", "person", 1.0)


def test_a_states_age_restarts_only_when_the_state_changes(tmp_path: Path) -> None:
    world = World(tmp_path)
    for now, state in ((10.0, AgentState.EDITING), (20.0, AgentState.EDITING), (30.0, AgentState.WAITING)):
        agents.set_agent_state(world.store, TAG, "junior-1", state, now)
        agent = world.snapshot().agent("junior-1")
        assert agent is not None and agent.state_since == (30.0 if now == 30.0 else 10.0)


def test_running_time_leaves_pauses_out(tmp_path: Path) -> None:
    world = World(tmp_path)
    start = world.now
    campaigns.set_campaign_state(world.store, TAG, CampaignState.PAUSED, "x", start + 100)
    campaigns.set_campaign_state(world.store, TAG, CampaignState.RUNNING, "", start + 1000)
    world.now = start + 1050
    campaign = world.snapshot().campaign
    assert campaign is not None and campaign.running_s == pytest.approx(150)


def test_wanting_an_unknown_agent_changes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(LabError, match="there is no agent 'junior-9'"):
        agents.want_agents(world.store, TAG, ("junior-1", "junior-9"), Wanted.PAUSED, 1.0)
    agent = world.snapshot().agent("junior-1")
    assert agent is not None and agent.wanted is Wanted.RUNNING


def test_a_chief_without_ideas_is_not_asked_again_before_something_was_learned(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert campaigns.request_plan(world.store, TAG, "low", 10.0)
    assert not campaigns.request_plan(world.store, TAG, "low", 11.0)
    request = campaigns.open_plan_request(world.store, TAG)
    assert request is not None
    campaigns.close_plan_request(world.store, request[0], 0, 12.0)
    assert not campaigns.request_plan(world.store, TAG, "low", 13.0)
    begun = world.draft("junior-1")
    assert begun is not None
    experiments.record_verdict(world.store, TAG, begun, Judgement(Verdict.CRASH, "x"), 14.0)
    assert campaigns.request_plan(world.store, TAG, "low", 15.0)
