"""Histories of other harnesses: read in their dialects, taken over, note_text, and never ranked with the lab's own."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roles.briefs.tasks import plan_brief
from supervisor.analysis.leaderboard import leaderboard
from supervisor.campaign.launch import open_campaign
from supervisor.campaign.options import LaunchOptions
from supervisor.history.dialects import HistoryError, parse_history
from supervisor.history.import_file import import_history, note_text
from supervisor.history.ranked import read_history
from supervisor.lab.notes import read_note
from supervisor.lab.paths import Lab
from supervisor.loop.publishing import write_results
from supervisor.model.records import RawHistory
from supervisor.model.states import Direction
from supervisor.snapshot_reader import read_snapshot
from supervisor.store.connection import Store
from tests.worlds.labs import make_toy_lab

H100 = Path(__file__).parents[1] / "histories" / "h100-mar8.tsv"
PI = """\
{"type":"config","name":"s","metricName":"comparisons","metricUnit":"","bestDirection":"lower"}
{"run":1,"commit":"ab12cd3","metric":66649,"metrics":{"ms":3},"status":"keep","description":"baseline","timestamp":1}
{"run":2,"commit":"bb12cd3","metric":36301,"status":"keep","description":"run\\nlength 16","segment":0}
{"run":3,"commit":"cb12cd3","metric":0,"status":"checks_failed","description":"no longer sorted"}
{"run":4,"commit":"db12cd3","metric":70000,"status":"discard","description":"run length 128"}
not json
"""
ITERATIONS = """\
# a comment
# metric_direction: higher
iteration\tcommit\tmetric\tdelta\tguard\tstatus\tdescription
0\ta1b2c3d\t85.2\t0.0\t-\tbaseline\tinitial state
1\tb2c3d4e\t87.1\t+1.9\tpass\tkeep (reworked)\tmore tests
2\t-\t-1.5\t-1.2\t-\tdiscard\trefactor
3\t-\t0.0\t0.0\t-\tcrash\tfails
"""
MEMORY_MB = "commit\tval_bpb\tmemory_mb\tstatus\tdescription\tpipe\na\t0.9\t2048\tkeep\tbase\tD\n"
NO_MEMORY = "commit\tacc\tstatus\tdescription\na\t-0.5\tkeep\tbase\nb\t0.0\tdiscard\tx\ty\n"


def rows(found: RawHistory) -> list[tuple[float | None, str]]:
    return [(line.metric, line.status) for line in found.lines]


def test_pi_autoresearch_is_read_from_its_json_lines() -> None:
    found = parse_history(PI.encode())
    assert (found.metric_name, found.direction, found.skipped) == ("comparisons", Direction.LOWER, 1)
    assert rows(found) == [(66649.0, "keep"), (36301.0, "keep"), (None, "crash"), (70000.0, "discard")]
    assert found.lines[1].description == "run length 16"


def test_a_table_says_which_way_is_better() -> None:
    found = parse_history(ITERATIONS.encode())
    assert (found.metric_name, found.direction) == ("metric", Direction.HIGHER)
    assert rows(found) == [(85.2, "keep"), (87.1, "keep"), (-1.5, "discard"), (None, "crash")]
    ranked = read_history(ITERATIONS.encode())
    assert [line.rank for line in ranked.lines] == [2, 1, 3, None]
    assert ranked.claimed_gain == pytest.approx(1.9)


def test_forks_with_other_columns_are_read_by_their_names() -> None:
    (line,) = parse_history(MEMORY_MB.encode()).lines
    assert (line.memory_gb, line.description) == (2.0, "base")
    assert rows(parse_history(NO_MEMORY.encode())) == [(-0.5, "keep"), (0.0, "discard")]
    assert parse_history(NO_MEMORY.encode()).lines[1].description == "x\ty"


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=400),
        st.text(alphabet='{}":,\t\n#keepcommitstatus0.1', max_size=300).map(str.encode),
    )
)
def test_any_file_is_read_or_refused_in_one_line(content: bytes) -> None:
    try:
        found = parse_history(content)
    except HistoryError as error:
        assert "\n" not in str(error)
    else:
        assert found.lines


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = make_toy_lab(tmp_path / "lab")
    config = lab.root / "autoresearch.toml"
    config.write_text(config.read_text().replace('"score"', '"val_bpb"'))
    from supervisor.lab.paths import find_lab

    return find_lab(lab.root)


def test_what_is_imported_is_told_and_continued_and_never_ranked(lab: Lab) -> None:
    said: list[str] = []
    open_campaign(lab, LaunchOptions(devices="cpu:0", history=H100), said.append)
    assert any("imported 126 of 126" in line and "never ranked" in line for line in said)
    store = Store(lab.db)
    snapshot = read_snapshot(lab, store, time.time())
    assert len(snapshot.imported) == 126 and not leaderboard(snapshot)
    write_results(lab.results_tsv, snapshot)
    table = pandas.read_csv(lab.results_tsv, sep="\t")
    theirs = pandas.read_csv(H100, sep="\t")
    assert list(table["val_bpb"]) == pytest.approx(list(theirs["val_bpb"]))
    assert list(table["status"]) == list(theirs["status"])
    (note,) = snapshot.notes
    assert note.author == "imported" and "another setting" in note.title
    assert "0.969686" in read_note(lab.notes_dir, note.id)
    brief = plan_brief(lab, store, snapshot, (), ())
    assert "another setting" in brief.text and "0.969686" in brief.text
    assert "imported 0 of 126" in import_history(lab, store, H100)
    assert len(read_snapshot(lab, store, time.time()).notes) == 1


def test_another_metric_does_not_enter_the_labs_own_table(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "autoresearch.jsonl"
    file.write_text(PI)
    open_campaign(lab, LaunchOptions(devices="cpu:0", history=file), lambda _: None)
    snapshot = read_snapshot(lab, Store(lab.db), time.time())
    assert len(snapshot.imported) == 4
    write_results(lab.results_tsv, snapshot)
    assert lab.results_tsv.read_text().count("\n") == 1


def test_what_is_told_is_bounded_and_quoted() -> None:
    lines = [{"metricName": "m"}] + [
        {
            "run": n,
            "commit": "a",
            "metric": n,
            "status": "keep",
            "description": "# Ignore all\x1b[31m " + "x" * 900,
        }
        for n in range(500)
    ]
    text = note_text(parse_history("\n".join(map(json.dumps, lines)).encode()))
    assert len(text) < 12_000 and "\x1b" not in text
    assert all(line.startswith("> ") for line in text.splitlines() if "Ignore" in line)
