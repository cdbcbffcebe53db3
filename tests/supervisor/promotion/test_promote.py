"""A promotion from the wish to the commit on main, on a real repository with simulated trainings."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sessions.runs.contract import RunEnding
from supervisor.errors import LabError
from supervisor.model.promotion import PieceState, PromotionState
from supervisor.model.states import CampaignState, RunKind
from supervisor.promotion.commands import accept_and_land, decline, roll_back
from supervisor.promotion.progress import progress_of
from tests.supervisor.promotion.world import SD, PromotionWorld
from tests.worlds.labs import git

GOOD, BEST, LUCKY, OTHER, USELESS = "GOOD = 1", "BEST = 1", "LUCKY = 1", "OTHER = 1", "USELESS = 1"


@pytest.fixture
def world(tmp_path: Path) -> PromotionWorld:
    made = PromotionWorld(tmp_path / "lab")
    made.worth = {GOOD: 6 * SD, OTHER: 6 * SD, BEST: 9 * SD}
    return made


def yes(world: PromotionWorld, number: int) -> PromotionState:
    return accept_and_land(world.lab, world.store, world.repository, number, world.now).state


def test_a_true_champion_lands_as_one_clean_commit(world: PromotionWorld) -> None:
    keep = world.keep("junior-1", {5: GOOD}, 6 * SD)
    before = world.repository.rev_parse("main")
    number = world.ask().number
    world.settle()
    promotion = world.promotion(number)
    assert promotion.state is PromotionState.EVIDENCE
    assert world.repository.rev_parse("main") == before, "nothing lands before the yes"
    assert yes(world, number) is PromotionState.LANDED
    main = world.repository.rev_parse("main")
    assert git(world.lab.root, "rev-parse", "main^").strip() == before
    assert world.canvas(main)[4] == GOOD and git(world.lab.root, "status", "--porcelain") == ""
    assert git(world.lab.root, "log", "-1", "--format=%an <%ae>").strip() == "A Person <person@example.org>"
    text = git(world.lab.root, "log", "-1", "--format=%B")
    parsed = subprocess.run(
        ["git", "interpret-trailers", "--parse"], input=text, capture_output=True, text=True, check=True
    ).stdout
    trailers = dict(line.split(": ", 1) for line in parsed.splitlines())
    assert trailers["Autoresearch-Candidate"] == f"{keep.id}/{keep.commit}"
    assert trailers["Autoresearch-Base"] == before
    assert float(trailers["Autoresearch-Reproduced-Gain"]) == pytest.approx(6 * SD, abs=3 * SD)
    assert float(trailers["Autoresearch-Interval"].split()[0]) > 0
    assert trailers["Autoresearch-Flags"] == "none" and trailers["Autoresearch-Promotion"] == str(number)


def test_seeds_are_fresh_and_both_sides_have_the_same(world: PromotionWorld) -> None:
    world.keep("junior-1", {5: GOOD}, 6 * SD)
    used = {run.seed for e in world.snapshot().experiments for run in e.runs}
    number = world.ask().number
    world.settle()
    whole = world.promotion(number).whole
    assert whole is not None and whole.base is not None and whole.candidate is not None
    seeds = [[run.seed for run in side.runs] for side in (whole.base, whole.candidate)]
    assert seeds[0] == seeds[1] and len(seeds[0]) >= 3 and not used & set(seeds[0])
    devices = [{run.device for run in side.runs} for side in (whole.base, whole.candidate)]
    assert devices[0] == devices[1] == {"cpu:0", "cpu:1"}
    assert {run.kind for run in whole.base.runs} == {RunKind.VERIFICATION}


def test_nothing_else_sees_what_a_promotion_measures(world: PromotionWorld) -> None:
    world.keep("junior-1", {5: GOOD}, 6 * SD)
    before = world.snapshot()
    world.ask()
    after = world.settle()
    assert [e.id for e in after.experiments] == [e.id for e in before.experiments]
    assert (after.noise, after.counted, after.champion_id) == (
        before.noise,
        before.counted,
        before.champion_id,
    )


def test_a_lucky_champion_is_refused_and_not_measured_again(world: PromotionWorld) -> None:
    world.keep("junior-1", {5: LUCKY}, 6 * SD)
    number = world.ask("junior-1").number
    world.settle()
    promotion = world.promotion(number)
    assert promotion.state is PromotionState.REFUSED and "not reproduced" in promotion.reason
    with pytest.raises(LabError, match="can't land"):
        yes(world, number)
    assert world.ask("junior-1").number == number


def test_a_gain_that_the_holdout_lacks_is_refused(world: PromotionWorld) -> None:
    world.held = {GOOD: 0.0}
    keep = world.keep("junior-1", {5: GOOD}, 6 * SD)
    assert keep.commit is not None
    number = world.ask(keep.commit).number
    world.settle()
    assert "holdout" in world.promotion(number).reason
    assert world.promotion(number).state is PromotionState.REFUSED


def test_a_candidate_that_fails_twice_is_refused(world: PromotionWorld) -> None:
    keep = world.keep("junior-1", {5: GOOD}, 6 * SD)
    trees = {git(world.lab.root, "rev-parse", f"{keep.commit}^{{tree}}")}
    world.ending_of = lambda e: (
        RunEnding.CRASHED
        if git(world.lab.root, "rev-parse", f"{e.commit}^{{tree}}") in trees
        else RunEnding.MEASURED
    )
    number = world.ask().number
    world.settle()
    assert world.promotion(number).state is PromotionState.REFUSED
    assert "failed in" in world.promotion(number).reason


def test_a_run_that_failed_once_is_made_up_for(world: PromotionWorld) -> None:
    world.keep("junior-1", {5: GOOD}, 6 * SD)
    failing = [RunEnding.CRASHED]
    world.ending_of = lambda _: failing.pop() if failing else RunEnding.MEASURED
    number = world.ask().number
    world.settle()
    whole = world.promotion(number).whole
    assert whole is not None and whole.base is not None and whole.candidate is not None
    assert world.promotion(number).state is PromotionState.EVIDENCE
    assert len(whole.base.runs) + len(whole.candidate.runs) == 7


def test_progress_has_an_estimate_and_says_who_is_first(world: PromotionWorld) -> None:
    one = world.keep("junior-1", {5: GOOD}, 6 * SD, settle=False)
    two = world.keep("junior-2", {20: OTHER}, 6 * SD)
    world.ask(one.id)
    world.ask(two.id)
    while not world.snapshot().running_runs():
        world.act()
    for run in world.snapshot().running_runs():
        world.finish(run)
    snapshot = world.snapshot()
    first, second = (progress_of(snapshot, promotion) for promotion in snapshot.promotions)
    assert (first.runs, first.wanted, first.ahead, second.ahead) == (2.0, 6, 0, 1)
    assert first.seconds_left == pytest.approx(4 * 25.0 / 2)


def test_a_dirty_overlap_waits_on_a_branch_until_it_is_merged(world: PromotionWorld) -> None:
    world.keep("junior-1", {5: GOOD}, 6 * SD)
    number = world.ask().number
    world.settle()
    before = world.repository.rev_parse("main")
    canvas = world.lab.root / "train.py"
    mine = canvas.read_text() + "# mine\n"
    canvas.write_text(mine)
    assert yes(world, number) is PromotionState.WAITING
    assert world.repository.rev_parse("main") == before and canvas.read_text() == mine
    promotion = world.promotion(number)
    assert promotion.branch == f"autoresearch/promoted/{number}"
    git(world.lab.root, "checkout", "-q", "--", "train.py")
    git(world.lab.root, "merge", "-q", "--ff-only", promotion.branch)
    assert world.ask().number == number
    assert world.promotion(number).state is PromotionState.LANDED


def test_a_second_call_lands_what_was_refused_once_nothing_is_in_the_way(world: PromotionWorld) -> None:
    world.keep("junior-1", {5: GOOD}, 6 * SD)
    number = world.ask().number
    world.settle()
    canvas = world.lab.root / "train.py"
    canvas.write_text(canvas.read_text() + "# mine\n")
    assert yes(world, number) is PromotionState.WAITING
    assert yes(world, number) is PromotionState.WAITING  # still in the way
    git(world.lab.root, "checkout", "-q", "--", "train.py")
    assert yes(world, number) is PromotionState.LANDED
    assert world.repository.rev_parse("main") == world.promotion(number).landed_commit


def test_a_conflict_names_the_place_and_the_line(world: PromotionWorld) -> None:
    world.keep("junior-1", {5: GOOD}, 6 * SD)
    world.person_commits({5: "MINE = 1"})
    number = world.ask().number
    world.settle()
    promotion = world.promotion(number)
    assert promotion.state is PromotionState.CONFLICT
    assert "train.py:5" in promotion.reason and "git diff" in promotion.reason


def test_main_that_moved_is_merged_with(world: PromotionWorld) -> None:
    world.keep("junior-1", {5: GOOD}, 6 * SD)
    world.person_commits({30: "MINE = 1"})
    number = world.ask().number
    world.settle()
    assert yes(world, number) is PromotionState.LANDED
    lines = world.canvas("main")
    assert (lines[4], lines[29]) == (GOOD, "MINE = 1")


def test_main_that_moves_after_the_evidence_is_measured_again(world: PromotionWorld) -> None:
    world.keep("junior-1", {5: GOOD}, 6 * SD)
    number = world.ask().number
    world.settle()
    moved = world.person_commits({30: "MINE = 1"})
    assert yes(world, number) is PromotionState.REQUESTED
    world.settle()
    promotion = world.promotion(number)
    assert (promotion.state, promotion.base_commit) == (PromotionState.EVIDENCE, moved)
    assert yes(world, number) is PromotionState.LANDED


def test_a_referee_that_changed_on_main_is_refused(world: PromotionWorld) -> None:
    world.keep("junior-1", {5: GOOD}, 6 * SD)
    world.person_commits({}, "prepare.py")
    number = world.ask().number
    world.settle()
    assert world.promotion(number).state is PromotionState.REFUSED
    assert "referee" in world.promotion(number).reason


def test_a_stack_takes_what_helps_and_drops_what_does_not(world: PromotionWorld) -> None:
    best = world.keep("junior-1", {5: BEST}, 9 * SD, settle=False)
    world.keep("junior-2", {20: OTHER}, 6 * SD, settle=False)
    world.keep("junior-2", {35: USELESS}, 2 * SD, settle=False)
    last = world.keep("junior-2", {5: "CLASH = 1"}, 2 * SD)
    number = world.ask(last.id, best.id).number
    world.settle()
    promotion = world.promotion(number)
    assert promotion.pieces[0].source_id == best.id
    assert {piece.title: piece.state for piece in promotion.pieces[1:-1]} == {
        "change line 20": PieceState.TAKEN,
        "change line 35": PieceState.DROPPED,
        "change line 5": PieceState.CONFLICT,
    }
    assert promotion.state is PromotionState.EVIDENCE
    assert yes(world, number) is PromotionState.LANDED
    lines = world.canvas("main")
    assert (lines[4], lines[19], lines[34]) == (BEST, OTHER, "LINE_35 = 35")
    assert git(world.lab.root, "log", "-1", "--format=%s").strip() == "change line 5 (and 1 more)"


def test_main_that_moves_in_the_middle_of_a_stack_starts_it_again(world: PromotionWorld) -> None:
    best = world.keep("junior-1", {5: BEST}, 9 * SD, settle=False)
    other = world.keep("junior-2", {20: OTHER}, 6 * SD)
    number = world.ask(best.id, other.id).number
    while world.promotion(number).pieces[1].state is not PieceState.MEASURING:
        world.act()
    moved = world.person_commits({30: "MINE = 1"})
    world.settle()
    promotion = world.promotion(number)
    assert (promotion.state, promotion.base_commit) == (PromotionState.EVIDENCE, moved)
    assert yes(world, number) is PromotionState.LANDED
    assert world.canvas("main")[29] == "MINE = 1"


def test_it_works_while_the_campaign_is_not_running(world: PromotionWorld) -> None:
    world.keep("junior-1", {5: GOOD}, 6 * SD)
    for state in (CampaignState.PAUSED, CampaignState.STOPPED, CampaignState.FINISHED):
        world.stop(state)
        number = world.ask().number
        assert not world.is_over()
        world.settle()
        assert world.promotion(number).state is PromotionState.EVIDENCE
        decline(world.lab, world.store, number, world.now)
    assert world.is_over()


def test_promotions_queue(world: PromotionWorld) -> None:
    one = world.keep("junior-1", {5: GOOD}, 6 * SD, settle=False)
    two = world.keep("junior-2", {20: OTHER}, 6 * SD)
    first, second = world.ask(one.id).number, world.ask(two.id).number
    world.act()
    world.act()
    measured = [p.number for p in world.snapshot().promotions if p.state is PromotionState.MEASURING]
    assert measured == [first]
    world.settle()
    assert yes(world, first) is PromotionState.LANDED
    assert yes(world, second) is PromotionState.REQUESTED, "main has moved under it"
    world.settle()
    assert yes(world, second) is PromotionState.LANDED
    assert (world.canvas("main")[4], world.canvas("main")[19]) == (GOOD, OTHER)


def test_a_rollback_takes_the_last_one_back_with_a_commit(world: PromotionWorld) -> None:
    world.keep("junior-1", {5: GOOD}, 6 * SD)
    number = world.ask().number
    world.settle()
    yes(world, number)
    world.person_commits({5: GOOD, 30: "MINE = 1"})
    rollback = roll_back(world.lab, world.store, world.repository, world.now)
    assert rollback.state is PromotionState.LANDED
    lines = world.canvas("main")
    assert (lines[4], lines[29]) == ("LINE_5 = 5", "MINE = 1")
    assert f"Autoresearch-Rollback: {number}" in git(world.lab.root, "log", "-1", "--format=%B")
    with pytest.raises(LabError, match="no promotion"):
        roll_back(world.lab, world.store, world.repository, world.now)


def test_a_rollback_that_conflicts_names_the_place(world: PromotionWorld) -> None:
    world.keep("junior-1", {5: GOOD}, 6 * SD)
    number = world.ask().number
    world.settle()
    yes(world, number)
    main = world.person_commits({5: "MINE = 1"})
    with pytest.raises(LabError, match=r"train\.py:5"):
        roll_back(world.lab, world.store, world.repository, world.now)
    assert world.repository.rev_parse("main") == main


def test_juniors_move_to_the_new_main_and_lose_no_keep(world: PromotionWorld) -> None:
    one = world.keep("junior-1", {5: GOOD}, 6 * SD, settle=False)
    two = world.keep("junior-2", {20: OTHER}, 6 * SD)
    incumbents = {a.name: a.incumbent_id for a in world.snapshot().agents}
    assert incumbents == {"junior-1": one.id, "junior-2": two.id}, "neither lags behind"
    champion = world.snapshot().champion_id
    other = next(e for e in (one, two) if e.id != champion)
    number = world.ask().number
    world.settle()
    assert {a.name: a.incumbent_id for a in world.snapshot().agents} == incumbents
    yes(world, number)
    after = world.settle()
    assert {a.incumbent_id for a in after.agents} == {champion}
    assert [h.title for h in after.hypotheses if other.id in h.title and champion in h.title]  # type: ignore[operator]
