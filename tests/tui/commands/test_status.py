"""`status`, once and followed, and `launch --headless`'s watching."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions.runs.contract import RunPhase, RunProgress
from supervisor.client.lab_client import LabClient
from supervisor.lab.paths import Lab
from supervisor.model.snapshot import Limits
from supervisor.model.states import CampaignState, RunKind
from supervisor.store import campaigns, runs
from tests.worlds.command_lines import Run
from tests.worlds.fast_motion import TAG, World
from tui.commands.headless import Furthest, follow_to_the_end, fraction_done, now_line


@pytest.fixture
def supervisor(lab: Lab) -> Iterator[None]:
    """Hold the lock by which a supervisor is known to live."""
    with lab.supervisor_lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def half_done(world: World) -> World:
    """The first of the runs under way is at 41 %."""
    run = world.running()[0]
    runs.record_progress(
        world.store, run.id, RunProgress(RunPhase.TRAINING, 0.41, 8.2, 180, 3.1, 22000.0, 1.0)
    )
    return world


def test_status_as_json_has_every_key_of_the_schema(run: Run, half_done: World) -> None:
    answer = json.loads(run("status", "--json").out)
    assert answer["schema"] == 1
    assert answer.keys() >= set(
        "lab tag state agents devices limits queue champion noise tmux_socket".split()
    )
    assert answer["tag"] == TAG
    assert answer["limits"] == {"experiments": None, "hours": None, "usd": None}
    agents = {agent["name"]: agent for agent in answer["agents"]}
    assert set(agents) == {"chief", "junior-1", "junior-2"}
    for agent in agents.values():
        assert agent.keys() >= set(
            "name role backend state state_since experiment progress device cost_usd waiting_for".split()
        )
    training = half_done.running()[0]
    owner = half_done.experiment(training.experiment_id).agent
    assert agents[owner]["experiment"] == training.experiment_id
    assert (agents[owner]["progress"], agents[owner]["device"]) == (0.41, training.device)
    device = next(one for one in answer["devices"] if one["id"] == training.device)
    assert (device["run"], device["progress"]) == (training.id, 0.41)


def test_status_for_people(run: Run, half_done: World) -> None:
    said = run("status").out
    assert f"{TAG} running · val_bpb " in said
    assert "the supervisor does not run: `autoresearch-tui launch` starts it again" in said
    assert "limits: none; it runs until you stop it" in said
    assert "41 %" in said


def test_a_disk_that_fills_while_the_lab_runs_is_said(
    run: Run, half_done: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**40, 2**40, 3 * 2**20))
    assert "the disk is full (3 MB left in " in run("status").out


def test_status_before_the_first_launch(run: Run, lab_root: Path) -> None:
    assert run("status").out == f"{lab_root}: not launched; `autoresearch-tui launch` starts\n"
    answer = json.loads(run("status", "--json").out)
    assert (answer["tag"], answer["state"], answer["agents"], answer["champion"]) == (
        None,
        "not launched",
        [],
        None,
    )


def test_followed_status_is_one_snapshot_a_line(lab: Lab, world: World) -> None:
    command = [sys.executable, "-P", "-m", "tui.main", "--lab", str(lab.root), "status", "--follow", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = json.loads(process.stdout.readline())
        campaigns.set_campaign_state(world.store, TAG, CampaignState.PAUSED, "lunch", world.now)
        states = [first["state"]]
        while states[-1] != "paused":
            states.append(json.loads(process.stdout.readline())["state"])
        process.send_signal(2)
        assert process.wait(20) == 130
        assert process.stderr.read().strip() == ""
    assert states[0] == "running"


def test_watching_tells_each_verdict_once_and_ends_with_the_leaderboard(
    lab: Lab,
    world: World,
    supervisor: None,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def next_step(*_: object) -> None:
        for run in world.running()[:1]:
            world.finish(run)
        world.act()
        if world.snapshot().counted >= 2:
            campaigns.set_campaign_state(world.store, TAG, CampaignState.FINISHED, "2 experiments", world.now)

    monkeypatch.setattr(
        "supervisor.client.lab_client.LabClient.wait_for_change", next_step
    )  # the world moves while we wait
    follow_to_the_end(LabClient(lab))
    watched, _, board = capfd.readouterr().out.partition("\n\n")
    assert watched.startswith(f"{TAG} running")
    decided = [one for one in world.snapshot().experiments if one.verdict is not None and one.agent]
    assert len(decided) >= 2
    for one in decided:
        assert watched.count(f" {one.id} ") == 1
    assert board.startswith("#\tval_bpb\t")
    assert board.splitlines()[-1].startswith(f"{TAG} finished (2 experiments)")


def test_ctrl_c_leaves_the_lab_running_and_says_how_to_stop_it(
    run: Run, lab: Lab, world: World, supervisor: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("supervisor.client.lab_client.LabClient.wait_for_change", interrupt)
    monkeypatch.setattr("supervisor.client.lab_client.LabClient.launch", lambda *_: None)
    result = run("launch", "--headless")
    assert result.code == 130
    assert "the lab goes on" in result.out
    assert "`autoresearch-tui stop` stops it" in result.out
    campaign = world.snapshot().campaign
    assert campaign is not None
    assert campaign.state is CampaignState.RUNNING


def test_a_supervisor_that_never_comes_is_an_error(
    lab: Lab, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from supervisor.errors import LabError

    monkeypatch.setattr("tui.commands.headless.DEAD_AFTER_S", 0.0)
    with pytest.raises(LabError, match="`autoresearch-tui attach supervisor` shows why"):
        follow_to_the_end(LabClient(lab))


def test_the_bar_moves_between_verdicts(half_done: World) -> None:
    snapshot = half_done.snapshot()
    assert fraction_done(snapshot) is None  # nothing limits this campaign
    campaigns.resume_campaign(half_done.store, TAG, Limits(experiments=10), half_done.now)
    done = fraction_done(half_done.snapshot())
    assert done is not None
    assert 0.0 < done < 0.1
    assert "41%" in now_line(half_done.snapshot())


def test_the_bar_never_goes_back(half_done: World) -> None:
    campaigns.resume_campaign(half_done.store, TAG, Limits(experiments=10), half_done.now)
    furthest = Furthest()
    before = furthest.of(half_done.snapshot())
    assert before is not None
    assert before > 0
    half_done.finish(half_done.running()[0])  # it takes its share with it until its verdict
    assert fraction_done(half_done.snapshot()) == 0.0
    assert furthest.of(half_done.snapshot()) == before


def test_a_changed_machine_is_told_with_what_to_do(run: Run, world: World) -> None:
    assert json.loads(run("status", "--json").out)["drift"] is None
    for training in world.running():
        world.finish(training)
    world.truth["base"] += 0.5
    for _ in range(2):
        runs.queue_runs(world.store, TAG, "e0000", RunKind.DRIFT, 1, world.now)
        check = world.experiment("e0000").runs[-1]
        assert runs.take_lease(world.store, check.id, "cpu:0", world.now)
        world.finish(check)
    assert json.loads(run("status", "--json").out)["drift"]["change"] == pytest.approx(0.5, abs=0.05)
    for words in (("status",), ("experiments", "e0000")):
        said = run(*words).out
        assert "the machine has changed: the baseline measures +." in said
        assert "launch a campaign with a new --tag" in said
    assert "checks drift" in run("experiments", "e0000").out
