"""Labs whose bench says whether it is right, measures more than one thing, or calibrates itself, as they really run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from supervisor.lab.paths import find_lab
from supervisor.model.snapshot import LabSnapshot
from tests.foreign.test_labs import scripted
from tests.worlds.foreign import plant
from tests.worlds.labs_page import PAGE, PART, examples
from tests.worlds.live import live
from tests.worlds.toolchains import put_toolchains
from tui.commands.command_line import run_command_line

pytestmark = pytest.mark.timeout(120)
LAUNCH = (
    "launch",
    "--headless",
    "--juniors",
    "1",
    "--devices",
    "cpu:0,cpu:1",
    "--tag",
    "t",
    "--experiments",
    "3",
)
GO = {
    "go.mod": "module example.com/sorting\n\ngo 1.22\n",
    "sorting.go": "package sorting\n\nconst Chunk = 64\n",
    "sorting_test.go": 'package sorting\n\nimport "testing"\n\nfunc BenchmarkSort(b *testing.B) {}\n',
}


def lab_of(
    folder: Path, files: dict[str, str], agents: str, more: str, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A lab as `init --yes` makes it, with a mind of ours, and what a person adds."""
    root = plant(folder / "project", files)
    monkeypatch.chdir(root)
    assert run_command_line(("init", "--yes")) == 0
    written = (root / "autoresearch.toml").read_text(encoding="utf-8")
    (root / "autoresearch.toml").write_text(
        written.partition("[agents]")[0] + more + agents, encoding="utf-8"
    )
    return root


def verdicts_of(snapshot: LabSnapshot) -> list[tuple[str, str]]:
    return [(str(one.verdict), one.reason) for one in snapshot.experiments if one.agent and one.verdict]


def test_what_a_bench_finds_wrong_or_too_dear_is_rejected_and_the_rest_is_shown_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mind = scripted(tmp_path, "BLOCK", "pool.py", ("10", "5", "7"))
    example = next(one for one in examples() if one.title == "Two metrics, one with a limit")
    texts = [part["text"] for part in PART.finditer(PAGE.read_text(encoding="utf-8")) if part["text"]]
    limit = next(text for text in texts if text.startswith("[[metric.also]]"))
    root = lab_of(tmp_path, example.files, mind, limit, monkeypatch)
    with live(find_lab(root)) as lab:
        done = lab.cli(*LAUNCH)
        assert done.returncode == 0, done.stdout + done.stderr
        end = lab.snapshot()
        board = lab.cli("leaderboard").stdout
        view = json.loads(lab.cli("leaderboard", "--json").stdout)["settings"][0]
        kept = lab.cli("experiments", "e0003").stdout
    wrong, dear, better = verdicts_of(end)
    assert wrong[0] == "rejected" and "it printed “correctness: FAIL”; correctness must be PASS" in wrong[1]
    assert dear[0] == "rejected" and "heap: 150 MB, and the baseline has 100 MB" in dear[1]
    assert better[0] == "keep", better
    assert "heap (MB)" in board.splitlines()[0] and "100.0000" in board
    assert view["secondary"] == [{"name": "heap", "direction": "lower", "unit": "MB", "worse_pct": 10.0}]
    assert view["rows"][0]["metrics"] == {"cost": pytest.approx(100 / 7), "heap": 100.0}
    assert "heap 100.0000 MB (at most 10 % worse)" in kept
    brief = (lab.lab.runs_dir / "e0003" / "brief.md").read_text(encoding="utf-8")
    assert "`heap`, lower is better, now 100.0000 MB; an edit that makes it over 10 % worse" in brief
    assert "correctness must be PASS" in brief


def test_a_go_benchmark_is_measured_by_the_time_of_an_operation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = put_toolchains(tmp_path / "toolchains")["PATH"]
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    mind = scripted(tmp_path, "const Chunk", "sorting.go", ("32", "80", "16"))
    with live(find_lab(lab_of(tmp_path, GO, mind, "", monkeypatch))) as lab:
        done = lab.cli(*LAUNCH)
        assert done.returncode == 0, done.stdout + done.stderr
        end = lab.snapshot()
    assert [verdict for verdict, _ in verdicts_of(end)] == ["keep", "discard", "keep"]
    assert end.campaign is not None and end.campaign.metric == "BenchmarkSort"
    assert [one.metric for one in end.experiments][:2] == [64231.0, 32231.0]
