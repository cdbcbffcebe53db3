"""A campaign from `launch` to its end, as a person starts it: real tmux, worktrees, runners and verdicts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas
import pytest

from supervisor.model.states import CampaignState, ExperimentState, Verdict
from tests.worlds.labs import git, make_toy_lab
from tests.worlds.live import live


def fingerprint(root: Path) -> dict[str, str]:
    """Everything of the person's that a lab must not touch."""
    files = {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not {".git", ".autoresearch"} & set(path.relative_to(root).parts)
    }
    return files | {
        "config": (root / ".git" / "config").read_text(),
        "index": hashlib.sha256((root / ".git" / "index").read_bytes()).hexdigest(),
        "HEAD": (root / ".git" / "HEAD").read_text(),
        "main": git(root, "rev-parse", "main"),
        "stash": git(root, "stash", "list"),
        "status": git(root, "--no-optional-locks", "status", "--porcelain"),
    }


@pytest.mark.timeout(400)
def test_a_headless_campaign_ends_with_keeps_and_touches_nothing_of_the_persons(tmp_path: Path) -> None:
    lab = make_toy_lab(tmp_path / "a lab with spaces")
    (lab.root / "README.md").write_text("stashed\n")
    git(lab.root, "stash")
    (lab.root / "README.md").write_text("staged\n")
    git(lab.root, "add", "README.md")
    (lab.root / "train.py").write_text((lab.root / "train.py").read_text() + "# mine\n")
    (lab.root / "scratch.txt").write_text("untracked\n")
    before = fingerprint(lab.root)
    with live(lab) as running:
        done = running.cli(
            "launch", "--headless", "--juniors", "2", "--devices", "cpu:0,cpu:1", "--experiments", "6"
        )
        assert done.returncode == 0, done.stderr + done.stdout
        end = running.snapshot()
        assert fingerprint(lab.root) == before

        assert end.campaign is not None and end.campaign.state is CampaignState.FINISHED
        decided = [e for e in end.experiments if e.agent]
        assert len(decided) == 6 and all(e.state is ExperimentState.DECIDED for e in decided)
        kept = [e for e in decided if e.verdict is Verdict.KEEP]
        assert kept, [(e.title, e.reason) for e in decided]
        champion = end.experiment(end.champion_id)
        assert champion is not None and champion.metric is not None and champion.metric < 34.5

        for experiment in decided:
            folder = lab.runs_dir / experiment.id
            assert (folder / "diff.patch").read_text().startswith("diff --git")
            assert json.loads((folder / "result.json").read_text())["verdict"] == experiment.verdict
            # Two juniors may have the same idea at the same time: the second is refused, and nothing is run.
            assert experiment.runs or "tried before" in experiment.reason
            if experiment.runs:
                assert "score:" in (folder / "run-1" / "run.log").read_text()
        for agent in end.agents:
            if agent.role == "junior":
                incumbent = end.experiment(agent.incumbent_id)
                assert incumbent is not None
                assert git(lab.root, "rev-parse", agent.branch).strip() == incumbent.commit
        noted = git(lab.root, "notes", "--ref=refs/notes/autoresearch", "show", str(kept[0].commit))
        assert json.loads(noted)["id"] == kept[0].id

        table = pandas.read_csv(lab.results_tsv, sep="\t")
        assert len(table) == 7 and list(table.columns)[1] == "score"
        shown = json.loads(running.cli("leaderboard", "--json").stdout)
        assert shown["settings"][0]["rows"][0]["rank"] == 1
        assert len(json.loads(running.cli("experiments", "--json").stdout)["experiments"]) == 7
        assert not running.processes("_runner", str(lab.root))


@pytest.mark.timeout(300)
def test_launch_resumes_where_a_stopped_campaign_was(tmp_path: Path) -> None:
    lab = make_toy_lab(tmp_path / "lab")
    words = ("launch", "--headless", "--juniors", "1", "--devices", "cpu:0")
    with live(lab) as running:
        assert running.cli(*words, "--experiments", "2").returncode == 0
        first = running.snapshot()
        assert running.cli(*words, "--experiments", "1").returncode == 0
        second = running.snapshot()
    assert second.campaign is not None and first.campaign is not None
    assert second.campaign.tag == first.campaign.tag
    assert (first.counted, second.counted) == (2, 3)
    assert second.experiments[: len(first.experiments)] == first.experiments[:1] + second.experiments[1:3]
    assert len([e for e in second.experiments if e.verdict is Verdict.BASELINE]) == 1
