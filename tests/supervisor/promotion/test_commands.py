"""`promote`, `rollback` and `finalize` as a person types them; what the supervisor does was done before."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from supervisor.client.lab_client import LabClient
from supervisor.errors import LabError
from supervisor.model.promotion import PieceState, PromotionState
from supervisor.model.states import CampaignState, RunState
from supervisor.promotion.commands import request_finalize
from tests.supervisor.promotion.world import SD, PromotionWorld
from tests.worlds.command_lines import Result, Run
from tests.worlds.labs import git
from tui.commands.command_line import run_command_line
from tui.views.promotion import outcome

GOOD, OTHER, LUCKY = "GOOD = 1", "OTHER = 1", "LUCKY = 1"


@pytest.fixture
def world(tmp_path: Path) -> PromotionWorld:
    made = PromotionWorld(tmp_path / "lab")
    made.worth = {GOOD: 6 * SD, OTHER: 6 * SD}
    return made


@pytest.fixture
def run(world: PromotionWorld, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(world.lab.root)

    def run_words(*words: str) -> Result:
        capfd.readouterr()
        code = run_command_line(words)
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return run_words


def measured(world: PromotionWorld, line: str = GOOD) -> int:
    keep = world.keep("junior-1", {5: line}, 6 * SD)
    world.stop(CampaignState.FINISHED)
    number = world.ask(keep.id).number
    world.settle()
    return number


def test_a_dry_run_shows_the_evidence_and_lands_nothing(world: PromotionWorld, run: Run) -> None:
    number = measured(world)
    before = world.repository.rev_parse("main")
    told = run("promote", "--dry-run")
    assert told.code == 0 and world.repository.rev_parse("main") == before
    for word in (f"+{GOOD}", "claimed", "reproduced", "holdout", "flags", "tok/s", "+1 −1"):
        assert word in told.out, word
    record = json.loads(run("promote", "--dry-run", "--json").out)
    assert record["schema"] == 1 and record["verdict"] == "yes"
    assert record["interval"][0] < record["reproduced_gain"] < record["interval"][1]
    assert record["claimed_gain"] == pytest.approx(6 * SD) and len(record["runs"]) >= 6
    assert world.promotion(number).state is PromotionState.EVIDENCE


def test_nothing_lands_without_a_yes(world: PromotionWorld, run: Run) -> None:
    measured(world)
    told = run("promote")
    assert told.code == 1 and "--yes" in told.err
    landed = run("promote", "--yes")
    assert landed.code == 0 and "on main as" in landed.out
    assert world.canvas("main")[4] == GOOD
    again = run("promote", "--yes")
    assert again.code == 0 and git(world.lab.root, "rev-list", "--count", "main").strip() == "2"


def test_it_goes_back_to_the_branch_that_the_run_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    world = PromotionWorld(tmp_path / "lab", trunk="develop")
    world.worth = {GOOD: 6 * SD}
    git(world.lab.root, "branch", "main")
    git(world.lab.root, "switch", "-q", "-c", "elsewhere")
    measured(world)
    monkeypatch.chdir(world.lab.root)
    assert run_command_line(("promote", "--yes")) == 0
    assert "on develop as" in capfd.readouterr().out
    assert world.canvas("develop")[4] == GOOD
    assert {world.canvas(other)[4] for other in ("main", "elsewhere")} == {"LINE_5 = 5"}
    message = git(world.lab.root, "log", "-1", "--format=%B", "develop")
    assert "Measured against develop" in message and "of develop," in message
    assert run_command_line(("rollback", "--yes")) == 0
    assert "on develop" in capfd.readouterr().out and world.canvas("develop")[4] != GOOD


def test_where_the_persons_commits_are_signed_it_is_too(
    world: PromotionWorld, run: Run, tmp_path: Path
) -> None:
    if not shutil.which("ssh-keygen"):
        pytest.skip("no ssh-keygen here")
    root, key = world.lab.root, tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    for name, value in (
        ("gpg.format", "ssh"),
        ("user.signingKey", str(tmp_path / "none")),
        ("commit.gpgSign", "true"),
    ):
        git(root, "config", name, value)
    measured(world)
    refused = run("promote", "--yes")
    assert (
        refused.code == 1
        and "git could not sign the commit" in refused.err
        and "unlock the key" in refused.err
    )
    assert refused.err.strip().count("\n") == 0
    git(root, "config", "user.signingKey", str(key))
    assert run("promote", "--yes").code == 0
    assert "gpgsig" in git(root, "cat-file", "commit", "main")


def test_who_git_does_not_know_is_told_how_to_say(world: PromotionWorld, run: Run) -> None:
    for name in ("user.name", "user.email"):
        git(world.lab.root, "config", "--unset", name)
    measured(world)
    told = run("promote", "--yes")
    assert told.code == 1 and 'git config user.name "…"' in told.err and told.err.strip().count("\n") == 0
    git(world.lab.root, "config", "user.name", "A Person")
    git(world.lab.root, "config", "user.email", "person@example.org")
    assert run("promote", "--yes").code == 0, "what was measured is not measured again"


def test_yes_is_refused_when_the_evidence_says_no(world: PromotionWorld, run: Run) -> None:
    measured(world, LUCKY)
    before = world.repository.rev_parse("main")
    told = run("promote", "junior-1", "--yes")
    assert told.code == 1 and "the evidence says no" in told.err
    assert run("promote", "junior-1", "--dry-run").code == 0
    assert world.repository.rev_parse("main") == before


def test_a_refused_checkout_is_told_the_line_that_merges(world: PromotionWorld, run: Run) -> None:
    number = measured(world)
    (world.lab.root / "train.py").write_text("mine\n")
    told = run("promote", "--yes")
    assert told.code == 0
    assert f"git merge --ff-only autoresearch/promoted/{number}" in told.out and "train.py" in told.out
    git(world.lab.root, "stash", "-q")
    git(world.lab.root, "merge", "-q", "--ff-only", f"autoresearch/promoted/{number}")
    assert "on main as" in run("promote", "--yes").out


def test_words_that_mean_nothing_are_told(world: PromotionWorld, run: Run) -> None:
    assert "no champion yet" in run("promote").err
    assert "nobody" in run("promote", "nobody").err
    assert run("promote", "--yes", "--dry-run").code == 2
    assert "no promotion" in run("rollback", "--yes").err
    assert "GOOD" not in world.canvas("main")


def test_a_rollback_asks_first(world: PromotionWorld, run: Run) -> None:
    measured(world)
    run("promote", "--yes")
    assert "--yes" in run("rollback").err and world.canvas("main")[4] == GOOD
    told = run("rollback", "--yes")
    assert told.code == 0 and "taken back" in told.out
    assert world.canvas("main")[4] != GOOD


def test_finalize_makes_a_branch_of_each_keep(world: PromotionWorld, run: Run) -> None:
    world.keep("junior-1", {5: GOOD}, 6 * SD)
    world.keep("junior-1", {20: LUCKY}, 2 * SD)
    clash = world.keep("junior-1", {5: "CLASH = 1"}, 2 * SD)
    world.stop(CampaignState.FINISHED)
    number = request_finalize(
        world.lab, world.store, world.repository, (clash.id,), world.now, measured=True
    ).number
    world.settle()
    pieces = world.promotion(number).pieces
    assert [piece.state for piece in pieces] == [PieceState.TAKEN, PieceState.DROPPED, PieceState.CONFLICT]
    branches = git(world.lab.root, "branch", "--list", "autoresearch/nov21-final/*").split()
    assert branches == [
        "autoresearch/nov21-final/1-change-line-5",
        "autoresearch/nov21-final/2-change-line-20",
    ]
    assert world.canvas(branches[1])[4] == "LINE_5 = 5" and world.canvas(branches[1])[19] == LUCKY
    told = run("finalize", clash.id)
    assert told.code == 0 and [row["is"] for row in told.table] == [
        "better alone",
        "not better alone",
        "conflict",
    ]
    assert "train.py:5" in told.table[2]["why"]
    assert world.repository.rev_parse("main") == world.snapshot().campaign.base_commit  # type: ignore[union-attr]


def test_finalize_offers_what_is_equal_without_and_shorter(world: PromotionWorld, run: Run) -> None:
    world.keep("junior-1", {5: GOOD}, 6 * SD, adds="more = 1")
    last = world.keep("junior-1", {20: LUCKY}, 2 * SD, adds="even_more = 1")
    world.stop(CampaignState.FINISHED)
    request_finalize(world.lab, world.store, world.repository, (last.id,), world.now, measured=True)
    world.settle()
    told = json.loads(run("finalize", last.id, "--json").out)
    assert len(told["branches"]) == len(told["left_out"]) == 2
    assert [(one["experiment"], one["lines_saved"]) for one in told["simpler"]] == [(last.id, 1)]


def test_finalize_without_measuring_runs_nothing(world: PromotionWorld) -> None:
    keep = world.keep("junior-1", {5: GOOD}, 6 * SD)
    trials = len(world.snapshot().trials)
    promotion = request_finalize(
        world.lab, world.store, world.repository, (keep.id,), world.now, measured=False
    )
    world.settle()
    assert world.promotion(promotion.number).state is PromotionState.DONE
    assert len(world.snapshot().trials) == trials
    assert world.repository.exists("autoresearch/nov21-final/1-change-line-5")


def test_what_is_measured_can_be_ended(world: PromotionWorld, run: Run) -> None:
    keep = world.keep("junior-1", {5: GOOD}, 6 * SD)
    number = world.ask(keep.id).number
    world.act(), world.act()
    assert world.promotion(number).state is PromotionState.MEASURING
    told = run("promote", keep.id, "--cancel")
    assert told.code == 0 and "main stays as it is" in told.out
    assert world.promotion(number).state is PromotionState.DECLINED
    world.settle()
    everything = (*world.snapshot().trials, *world.snapshot().experiments)
    waiting = [r for e in everything for r in e.runs if r.state is not RunState.FINISHED]
    assert waiting == []
    assert "no such promotion" in run("promote", "--cancel").err


def test_the_screen_lands_and_takes_back(world: PromotionWorld) -> None:
    number = measured(world)
    promotions = LabClient(world.lab).promotions
    assert promotions.promote(()).number == number and f"+{GOOD}" in promotions.diff(number)
    assert outcome(promotions.land(number), promotions).startswith("on main as")
    assert world.canvas("main")[4] == GOOD
    assert promotions.last().number == number
    assert "taken back" in outcome(promotions.roll_back(), promotions) and world.canvas("main")[4] != GOOD
    with pytest.raises(LabError, match="no promotion to take back"):
        promotions.last()


def test_the_screen_tells_why_git_left_main_alone(world: PromotionWorld) -> None:
    number = measured(world)
    (world.lab.root / "train.py").write_text("mine\n")
    promotions = LabClient(world.lab).promotions
    said = outcome(promotions.land(number), promotions)
    assert f"merge --ff-only autoresearch/promoted/{number}" in said
    with pytest.raises(LabError, match="no promotion 9"):
        promotions.land(9)
