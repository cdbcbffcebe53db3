"""What the supervisor does next, played through on the real store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sessions.runs.contract import RunEnding
from supervisor.analysis.secondary_limits import broken_limit
from supervisor.analysis.sequential_test import DecideRules
from supervisor.model.actions import Adopt, AskChief, ChangeState, Judge, Mend, QueueRun, SendBack, StartRun
from supervisor.model.experiment import Run
from supervisor.model.metrics import Secondary
from supervisor.model.snapshot import Hypothesis, LabSnapshot
from supervisor.model.states import (
    CampaignState,
    Direction,
    ExperimentState,
    HypothesisState,
    RunKind,
    RunState,
    Verdict,
    Wanted,
)
from supervisor.policy.verdicts import judge
from supervisor.store import campaigns, hypotheses, runs
from tests.worlds.fast_motion import SD, TAG, World


def test_baselines_fill_every_device_before_anything_else(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.draft_all()
    actions = world.act()
    assert [a.run_id for a in actions if isinstance(a, StartRun)] == ["e0000.1", "e0000.2"]
    assert len(world.experiment("e0000").runs) == 4


def test_no_device_waits_while_anything_could_run(tmp_path: Path) -> None:
    world = World(tmp_path, experiments=12)
    for _ in range(60):
        world.draft_all()
        world.act()
        snapshot = world.snapshot()
        if snapshot.counted >= 10:
            break
        assert all(device.run_id for device in snapshot.devices), snapshot.events[-5:]
        world.finish(world.running()[0])
    assert snapshot.counted >= 10


def test_identical_candidates_end_as_discards_and_true_gains_as_keeps(tmp_path: Path) -> None:
    world = World(tmp_path, experiments=16, gain_of=lambda n: 12 * SD if n % 5 == 0 else 0.0, seed=3)
    end = world.play()
    assert end.counted == 16
    kept = [e for e in end.experiments if e.verdict is Verdict.KEEP]
    assert kept, [e.reason for e in end.experiments]
    assert all(int(e.commit[1:]) % 5 == 0 for e in kept if e.commit)
    assert end.campaign is not None and end.campaign.state is CampaignState.FINISHED


def test_a_finished_campaign_has_a_champion_on_three_fresh_runs(tmp_path: Path) -> None:
    world = World(tmp_path, experiments=8, gain_of=lambda n: 15 * SD if n in (2, 5) else 0.0)
    end = world.play()
    champion = end.experiment(end.champion_id)
    assert champion is not None and champion.verdict is Verdict.KEEP
    assert len(champion.unbiased_runs) >= 3
    assert not any(r.state in (RunState.QUEUED, RunState.RUNNING) for e in end.experiments for r in e.runs)


def test_runs_that_decided_a_keep_never_estimate_the_new_incumbent(tmp_path: Path) -> None:
    world = World(tmp_path, experiments=6, gain_of=lambda n: 20 * SD if n == 1 else 0.0)
    end = world.play()
    kept = next(e for e in end.experiments if e.verdict is Verdict.KEEP)
    assert {run.kind for run in kept.unbiased_runs} == {RunKind.VERIFICATION}
    assert not set(kept.deciding_runs) & set(kept.unbiased_runs)


@pytest.mark.parametrize(
    ("ending", "verdict"),
    [
        (RunEnding.CRASHED, Verdict.CRASH),
        (RunEnding.OUT_OF_MEMORY, Verdict.CRASH),
        (RunEnding.TIMED_OUT, Verdict.TIMEOUT),
        (RunEnding.REJECTED, Verdict.REJECTED),
    ],
)
def test_a_run_without_a_metric_is_a_verdict_with_its_reason(
    tmp_path: Path, ending: RunEnding, verdict: Verdict
) -> None:
    world = World(tmp_path, experiments=1, juniors=1, ending_of=lambda _: ending)
    end = world.play()
    decided = [e for e in end.experiments if e.agent]
    assert [(e.verdict, e.reason, e.metric) for e in decided] == [(verdict, f"it {ending}", None)]


def test_a_baseline_that_does_not_run_stops_the_campaign_with_its_reason(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.act()
    while world.running():
        world.finish(world.running()[0], RunEnding.CRASHED)
        world.act()
    campaign = world.snapshot().campaign
    assert campaign is not None and campaign.state is CampaignState.STOPPED
    assert "the code as it stands does not run: it crashed" in campaign.reason


def test_a_draft_is_sent_back_when_its_predecessor_is_kept(tmp_path: Path) -> None:
    world = World(tmp_path, juniors=1, devices=1, gain_of=lambda n: 20 * SD if n == 1 else 0.0)
    world.draft("junior-1")
    world.draft("junior-1")
    for _ in range(12):
        actions = world.act()
        back = [a for a in actions if isinstance(a, SendBack)]
        if back:
            break
        world.finish(world.running()[0])
    assert back == [SendBack("e0002", "e0001")]
    draft = world.experiment("e0002")
    assert (draft.state, draft.parent_id, draft.parent_commit) == (ExperimentState.DRAFTING, "e0001", "c0001")
    assert draft.runs == ()


def test_a_gain_over_a_parent_that_was_left_behind_is_tried_again_on_top(tmp_path: Path) -> None:
    world = World(tmp_path, juniors=1, devices=2, gain_of=lambda n: 20 * SD if n < 3 else 0.0, experiments=4)
    end = world.play()
    late = next(e for e in end.experiments if e.verdict is Verdict.DISCARD and "tried again" in e.reason)
    port = next(h for h in end.hypotheses if h.category == "port")
    assert late.id in port.title
    assert end.experiment(port.experiment_id) is not None


def test_a_junior_that_lags_behind_adopts_the_champion_and_offers_what_it_had(tmp_path: Path) -> None:
    gains = {1: 8 * SD, 2: 40 * SD}
    world = World(tmp_path, gain_of=lambda n: gains.get(n, 0.0), experiments=10)
    end = world.play()
    adopted = [a for a in world.done if isinstance(a, Adopt)]
    assert adopted and adopted[0].agent == "junior-1"
    assert any(port.title.startswith("port e0001 onto") for a in adopted for port in a.ports)
    assert len({a.incumbent_id for a in end.agents if a.role == "junior"}) == 1


def test_pause_finishes_what_runs_and_starts_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.act()
    campaigns.want_campaign(world.store, TAG, Wanted.PAUSED, world.now)
    assert world.act() == (ChangeState(CampaignState.PAUSED, "by the person"),)
    for run in world.running():
        world.finish(run)
    world.draft_all()
    assert not [a for a in world.act() if isinstance(a, StartRun)]
    campaigns.want_campaign(world.store, TAG, Wanted.RUNNING, world.now)
    assert [a for a in world.act() if isinstance(a, StartRun)]


def test_a_lost_run_is_made_again_and_counted_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.act()
    lost = world.running()[0]
    runs.lose_run(world.store, TAG, lost.id, world.now, "its runner is gone", capped=True)
    assert world.snapshot().run(lost.id).state is RunState.QUEUED  # type: ignore[union-attr]
    world.act()
    again = world.snapshot().run(lost.id)
    assert again is not None and (again.state, again.attempt) == (RunState.RUNNING, 2)
    world.finish(again)
    with pytest.raises(AssertionError):
        world.finish(again)


def test_a_run_that_is_lost_three_times_is_a_crash(tmp_path: Path) -> None:
    world = World(tmp_path, juniors=1, experiments=1)
    for _ in range(4):
        world.act()
        world.finish(world.running()[0])
    world.draft_all()
    for _ in range(3):
        world.act()
        run = next(r for r in world.running() if r.experiment_id == "e0001")
        runs.lose_run(world.store, TAG, run.id, world.now, "killed", capped=True)
    world.act()
    assert world.experiment("e0001").verdict is Verdict.CRASH


def test_experiments_are_never_begun_past_the_limit(tmp_path: Path) -> None:
    end = World(tmp_path, experiments=5, juniors=3).play()
    assert sum(bool(e.agent) for e in end.experiments) == 5


def test_runs_are_not_made_twice_on_one_device(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.act()
    taken = world.running()[0]
    queued = next(r for r in world.experiment("e0000").runs if r.state is RunState.QUEUED)
    assert taken.device is not None
    assert not runs.take_lease(world.store, queued.id, taken.device, world.now)
    assert not runs.take_lease(world.store, taken.id, "cpu:9", world.now)


def test_every_decision_is_explained(tmp_path: Path) -> None:
    world = World(tmp_path, experiments=6)
    end: LabSnapshot = world.play()
    judged = [a for a in world.done if isinstance(a, Judge)]
    assert judged and all(a.judgement.reason for a in judged)
    assert all(a.why for a in world.done if isinstance(a, QueueRun))
    assert all(e.reason for e in end.experiments if e.verdict)


def test_a_baseline_run_that_times_out_on_a_busy_machine_is_made_up_for(tmp_path: Path) -> None:
    world = World(tmp_path)
    endings = iter([RunEnding.TIMED_OUT, RunEnding.TIMED_OUT])
    world.act()
    while world.experiment("e0000").verdict is None:
        world.finish(world.running()[0], next(endings, RunEnding.MEASURED))
        world.act()
    baseline = world.experiment("e0000")
    assert baseline.verdict is Verdict.BASELINE and len(baseline.unbiased_runs) == 3


def test_a_junior_without_progress_calls_the_chief_once(tmp_path: Path) -> None:
    world = World(tmp_path, juniors=1, experiments=12, gain_of=lambda _: -0.1)
    enough = tuple(Hypothesis(f"idea {n}") for n in range(40))
    hypotheses.add_hypotheses(world.store, TAG, "person", enough, HypothesisState.OPEN, 1.0, first=False)
    asked_at: list[int] = []
    for _ in range(200):
        world.draft_all()
        asked = [a for a in world.act() if isinstance(a, AskChief)]
        if asked:
            assert "junior-1: 8 without progress: invert an assumption" in asked[0].why
            asked_at.append(world.snapshot().counted)
            new = (Hypothesis("the opposite"),)
            hypotheses.add_hypotheses(
                world.store, TAG, "chief", new, HypothesisState.OPEN, world.now, first=True
            )
        if not world.running():
            break
        world.finish(world.running()[0])
    assert asked_at == [8]


def test_five_misses_on_one_incumbent_lead_to_the_champion(tmp_path: Path) -> None:
    gains = {1: 20 * SD, 2: 20.5 * SD}  # one per junior: too close for the champion to be ahead by the noise
    world = World(tmp_path, juniors=2, experiments=40, gain_of=lambda n: gains.get(n, -0.1))
    world.play()
    moves = [a for a in world.done if isinstance(a, Adopt) and "misses in a row" in a.why]
    assert len(moves) == 1 and moves[0].why.startswith("5 misses in a row on e000")


@pytest.mark.parametrize("repairs", [0, 1, 2])
def test_a_crash_is_sent_back_as_often_as_the_setting_says(tmp_path: Path, repairs: int) -> None:
    world = World(
        tmp_path, juniors=1, experiments=1, ending_of=lambda _: RunEnding.CRASHED, rules=DecideRules(repairs=repairs)
    )  # fmt: skip
    with world.store.transaction() as db:
        db.execute("UPDATE agents SET backend = 'claude'")
    world.crash_reason = "KeyError: 'x' (train.py:3)"
    end = world.play()
    decided = next(e for e in end.experiments if e.agent)
    assert (decided.verdict, decided.reason) == (Verdict.CRASH, world.crash_reason)
    assert len(decided.runs) == repairs + 1
    assert sum(isinstance(a, Mend) for a in world.done) == repairs


def test_a_crash_that_is_mended_is_judged_by_its_new_runs(tmp_path: Path) -> None:
    world = World(
        tmp_path, juniors=1, experiments=1, gain_of=lambda _: 20 * SD, rules=DecideRules(repairs=1),
        ending_of=lambda n: RunEnding.CRASHED if n == 1 else RunEnding.MEASURED,
    )  # fmt: skip
    with world.store.transaction() as db:
        db.execute("UPDATE agents SET backend = 'claude'")
    world.crash_reason = "KeyError: 'x' (train.py:3)"
    decided = next(e for e in world.play().experiments if e.agent)
    assert decided.verdict is Verdict.KEEP and decided.runs[0].ending is RunEnding.CRASHED


def test_a_baseline_that_a_gate_refuses_stops_the_campaign_after_one_run(tmp_path: Path) -> None:
    world = World(tmp_path, devices=1)
    world.act()
    world.finish(world.running()[0], RunEnding.REJECTED)
    world.act()
    campaign = world.snapshot().campaign
    assert campaign is not None and campaign.state is CampaignState.STOPPED
    assert campaign.reason.startswith("the code as it stands is refused: it rejected")
    assert not world.running()


def test_a_secondary_metric_beyond_its_limit_rejects_what_would_have_been_kept(tmp_path: Path) -> None:
    world = World(tmp_path, juniors=1, experiments=1, gain_of=lambda _: 20 * SD)
    end = world.play()
    kept = next(e for e in end.experiments if e.verdict is Verdict.KEEP)
    before = replace(
        world.experiment("e0000"), runs=tuple(_with(r, 30.0) for r in world.experiment("e0000").runs)
    )
    runs_now = tuple(_with(r, 34.0) for r in kept.deciding_runs)
    now = replace(kept, runs=runs_now, state=ExperimentState.MEASURING, verdict=None)
    for worse_pct, limited in ((10.0, True), (20.0, False), (None, False)):
        also = (Secondary("allocations", Direction.LOWER, "count", worse_pct),)
        snapshot = replace(end, experiments=(before, now), secondary=also)
        broken = broken_limit(snapshot, now)
        assert bool(broken) is limited
        step = judge(snapshot, now, DecideRules())
        assert (isinstance(step, Judge) and step.judgement.verdict is Verdict.REJECTED) is limited
        if limited:
            assert (
                "allocations: 34 count, and the baseline has 30 count; it may be 10 % worse at most, 33"
                in broken
            )
    better_when_higher = replace(
        end, experiments=(before, now), secondary=(Secondary("allocations", Direction.HIGHER, "", 0.0),)
    )
    assert broken_limit(better_when_higher, now) == ""


def _with(run: Run, allocations: float) -> Run:
    return replace(run, also={"allocations": allocations})
