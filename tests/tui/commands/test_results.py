"""`leaderboard`, `experiments`, `branches`, `diff`, `log`: for people, and the schemas that scripts rely on."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from supervisor.lab.paths import Lab
from supervisor.runs.spec import run_directory
from tests.worlds.command_lines import Run
from tests.worlds.fast_motion import World
from tui.commands.command_line import run_command_line

EXPERIMENT_KEYS = set(
    "id agent branch commit parent_commit hypothesis_id title verdict reason metric metrics runs confidence setting "
    "device started_at training_s total_s cost_usd".split()
)


def test_experiments_as_json_have_every_key_of_the_schema(run: Run, played: World) -> None:
    answer = json.loads(run("experiments", "--json").out)
    assert answer["schema"] == 1
    records = {record["id"]: record for record in answer["experiments"]}
    assert len(records) == len(played.snapshot().experiments)
    for record in records.values():
        assert record.keys() >= EXPERIMENT_KEYS
    crash = next(record for record in records.values() if record["verdict"] == "crash")
    assert crash["metric"] is None
    assert crash["metrics"] == {}
    assert crash["reason"]
    baseline = records["e0000"]
    assert baseline["verdict"] == "baseline"
    assert baseline["metrics"] == {"val_bpb": baseline["metric"]}
    assert baseline["training_s"] == 20.0 * len(
        [one for one in baseline["runs"] if one["metric"] is not None]
    )
    assert baseline["device"].startswith("cpu:")


def test_experiments_for_people_and_filters(run: Run, played: World) -> None:
    everything = run("experiments")
    assert [row["id"] for row in everything.table] == [one.id for one in played.snapshot().experiments]
    keeps = run("experiments", "--verdict", "keep").table
    assert keeps
    assert {row["verdict"] for row in keeps} == {"keep"}
    agent = keeps[0]["agent"]
    assert {row["agent"] for row in run("experiments", "--agent", agent).table} == {agent}


def test_one_experiment_tells_its_whole_story(run: Run, played: World) -> None:
    keep = next(one for one in played.snapshot().experiments if one.verdict == "keep")
    said = run("experiments", keep.id).out
    assert said.startswith(f"{keep.id}:")
    for words in (keep.title, "verdict:", "keep", keep.commit, "candidate", "sure that it is one"):
        assert words is not None
        assert words in said
    record = json.loads(run("experiments", keep.id, "--json").out)["experiment"]
    assert record["gain"] > 0.1
    assert record["gain_interval"][0] <= record["gain"] <= record["gain_interval"][1]


def test_the_leaderboard_ranks_only_what_was_measured(run: Run, played: World) -> None:
    (setting,) = json.loads(run("leaderboard", "--json").out)["settings"]
    assert setting["setting"] == "s1"
    assert setting["noise"]["sd"] > 0
    rows = setting["rows"]
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert [row["metric"] for row in rows] == sorted(row["metric"] for row in rows)
    keep = next(row for row in rows if row["verdict"] == "keep")
    assert keep["delta_baseline"] > 0.1
    assert not keep["inside_noise"]
    assert {row["verdict"] for row in rows} <= {"baseline", "keep", "discard"}
    assert all(row["margin"] > 0 and row["runs_behind"] >= 1 and not row["unverified"] for row in rows)
    table = run("leaderboard", "--first", "2").table
    assert table[0]["± 95 %"].startswith("±.0")
    assert table[0]["runs"] == str(rows[0]["runs_behind"])
    assert [row["id"] for row in table] == [row["id"] for row in rows[:2]]


def test_branches_are_chains_of_keeps_from_the_baseline(run: Run, played: World) -> None:
    branches = json.loads(run("branches", "--json").out)["branches"]
    assert [branch["agent"] for branch in branches] == ["junior-1", "junior-2"]
    climbed = max(branches, key=lambda branch: branch["keeps"])
    assert climbed["lineage"][0] == "e0000"
    assert climbed["lineage"][-1] == climbed["head"]
    assert climbed["gain_over_base"] > 0.1
    assert " → " in next(
        row["lineage"] for row in run("branches").table if row["branch"] == climbed["branch"]
    )


def test_before_the_first_launch_lists_are_empty_and_nothing_is_made(run: Run, lab_root: Path) -> None:
    assert run("experiments").table == []
    assert json.loads(run("leaderboard", "--json").out) == {"schema": 1, "settings": []}
    assert run("diff", "e0001").err.startswith("autoresearch-tui: nothing was launched in")
    assert not (lab_root / ".autoresearch").exists()


def test_a_diff_comes_byte_for_byte(run: Run, lab: Lab, played: World) -> None:
    patch = "--- a/training/train.py\n+++ b/training/train.py\n@@ -1 +1 @@\n-DEPTH = 4\n+DEPTH =\t2\n"
    (lab.runs_dir / "e0001").mkdir()
    (lab.runs_dir / "e0001" / "diff.patch").write_text(patch)
    assert run("diff", "e0001").out == patch
    assert json.loads(run("diff", "e0001", "--json").out)["diff"] == patch
    assert run("diff", "e0000").err == "autoresearch-tui: e0000 has no diff: it is baseline\n"


def test_a_log_is_shown_without_its_control_characters(run: Run, lab: Lab, played: World) -> None:
    one = played.snapshot().run("e0001.1")
    assert one is not None
    folder = run_directory(lab, one)
    folder.mkdir(parents=True)
    (folder / "run.log").write_bytes(b"step 1\rstep 2\n\x1b]0;owned\x07\x1b[31mred\x1b[0m\nlast \xff line")
    shown = run("log", "e0001.1")
    assert shown.out == "step 2\nred\nlast \ufffd line\n"
    assert run("log", "e0001").out == shown.out
    assert "runs of e0002" in run("log", "e0002").err


def test_a_followed_log_ends_with_its_run(
    lab: Lab, world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    one = world.running()[0]
    folder = run_directory(lab, one)
    folder.mkdir(parents=True)
    log = folder / "run.log"
    log.write_bytes(b"first\nsec")
    monkeypatch.chdir(lab.root)
    codes: list[int] = []
    reader = threading.Thread(target=lambda: codes.append(run_command_line(["log", one.id, "--follow"])))
    reader.start()
    out, deadline = "", time.monotonic() + 20
    while "first\n" not in out and time.monotonic() < deadline:
        out += capfd.readouterr().out
    with log.open("ab") as stream:
        stream.write(b"ond\nend without a newline")
    assert reader.is_alive()
    world.finish(one)
    reader.join(20)
    assert codes == [0]
    assert out + capfd.readouterr().out == "first\nsecond\nend without a newline\n"


@pytest.mark.parametrize("words", [("experiments", "e9999"), ("diff", "e9999"), ("log", "e9999")])
def test_an_unknown_experiment_is_one_line(run: Run, played: World, words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.code == 1
    assert result.err == (
        "autoresearch-tui: there is no experiment 'e9999'; `autoresearch-tui experiments` lists them\n"
    )
