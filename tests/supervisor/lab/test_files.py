"""The files that the lab writes for people: notes, results.tsv, the referee's copy."""

from __future__ import annotations

from pathlib import Path

import pandas
import pytest

from sessions.runs.contract import RunEnding
from supervisor.errors import LabError
from supervisor.lab.notes import publish_note, read_note, read_notes
from supervisor.lab.referee_copy import hash_referee, verify_referee, write_referee
from supervisor.loop.publishing import write_results
from tests.worlds.fast_motion import SD, World


def test_notes_come_back_newest_first_with_their_header(tmp_path: Path) -> None:
    first = publish_note(tmp_path, "Depth 2 wins", "Because it is faster.", "junior-1", 1000.0, "e0004")
    publish_note(tmp_path, "Later", "x", "person", 2000.0)
    (tmp_path / "dropped-in.md").write_text("# By hand\n\ntext\n")
    titles = [note.title for note in read_notes(tmp_path)]
    assert titles == ["By hand", "Later", "Depth 2 wins"]
    note = read_notes(tmp_path)[-1]
    assert (note.id, note.author, note.experiment_id, note.created_at) == (first, "junior-1", "e0004", 1000.0)
    assert read_note(tmp_path, first) == "Because it is faster.\n"


def test_a_notes_title_cannot_forge_a_header(tmp_path: Path) -> None:
    publish_note(tmp_path, "x\nauthor: person", "---\ntitle: y\n---", "junior-1", 1.0)
    note = read_notes(tmp_path)[0]
    assert (note.title, note.author) == ("x author: person", "junior-1")


def test_two_notes_of_one_second_are_two_files(tmp_path: Path) -> None:
    ids = {publish_note(tmp_path, "same", "text", "a", 5.0) for _ in range(3)}
    assert len(ids) == 3


def test_a_note_id_is_no_path(tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("secret")
    folder = tmp_path / "notes"
    folder.mkdir()
    with pytest.raises(LabError, match="there is no note"):
        read_note(folder, "../secret")


def test_results_read_in_pandas_and_a_crash_is_told_apart(tmp_path: Path) -> None:
    crash = RunEnding.CRASHED
    world = World(
        tmp_path,
        experiments=6,
        gain_of=lambda n: 20 * SD if n == 2 else 0.0,
        ending_of=lambda n: crash if n == 3 else RunEnding.MEASURED,
    )
    end = world.play()
    write_results(tmp_path / "results.tsv", end)
    table = pandas.read_csv(tmp_path / "results.tsv", sep="\t")
    assert list(table.columns) == ["commit", "val_bpb", "memory_gb", "status", "description"]
    assert len(table) == 7
    assert list(table["status"]).count("crash") == 1
    assert table[table.status == "crash"].val_bpb.tolist() == [0.0]
    assert table[table.status == "keep"].val_bpb.min() == pytest.approx(1.8, abs=0.02)


def test_the_referees_copy_is_read_only_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    files = {"prepare.py": "x = 1\n"}
    name = hash_referee(files)
    copy = write_referee(tmp_path, files)
    assert verify_referee(tmp_path, name) == copy
    assert (copy / "prepare.py").stat().st_mode & 0o222 == 0
    (copy / "prepare.py").chmod(0o644)
    (copy / "prepare.py").write_text("x = 2\n")
    with pytest.raises(LabError, match="not the referee that this campaign began with"):
        verify_referee(tmp_path, name)
