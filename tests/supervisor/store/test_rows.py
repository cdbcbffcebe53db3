"""Dataclasses as rows: what is written is read again, by the types of its fields."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pytest

from supervisor.model.ids import ExperimentId
from supervisor.store import rows


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Inner:
    colour: Colour
    colours: tuple[Colour, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    commit: str
    colour: Colour | None = None
    sure: bool | None = None
    parent_id: ExperimentId | None = None
    builds_on: tuple[ExperimentId, ...] = ()
    words: tuple[str, ...] = ()
    also: Mapping[str, float] = field(default_factory=dict)
    inner: Inner | None = None


FULL = Record(
    "c0ffee",
    Colour.RED,
    False,
    "e0012",
    ("e0001", "e0002"),
    ("a b", "c"),
    {"loss": 0.1},
    Inner(Colour.RED, (Colour.RED,)),
)


@pytest.fixture
def db() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    connection.execute(
        "CREATE TABLE records (id INTEGER PRIMARY KEY, commit_sha, colour, sure, parent_id, builds_on, words, also, "
        "inner)"
    )
    return connection


@pytest.mark.parametrize("record", [FULL, Record("c0ffee")])
def test_a_record_comes_back_as_it_was(db: sqlite3.Connection, record: Record) -> None:
    number = rows.insert(db, "records", rows.columns_of(record))
    assert rows.read(db, Record, "FROM records WHERE id = ?", (number,)) == (record,)


def test_ids_are_numbers_in_the_table(db: sqlite3.Connection) -> None:
    rows.insert(db, "records", rows.columns_of(FULL))
    assert tuple(db.execute("SELECT parent_id, builds_on, sure FROM records").fetchone()) == (
        12,
        "e0001 e0002",
        0,
    )


def test_a_field_may_be_made_of_other_columns(db: sqlite3.Connection) -> None:
    number = rows.insert(db, "records", rows.columns_of(FULL), id=7)
    (record,) = rows.read(
        db,
        Record,
        "FROM records",
        commit="'beef'",
        words=(lambda number, colour: (str(number), colour), "id", "colour"),
    )
    assert number == 7 and record.commit == "beef" and record.words == ("7", "red")


def test_only_rows_that_are_as_they_should_be_are_changed(db: sqlite3.Connection) -> None:
    for number in (1, 2, 3):
        rows.insert(db, "records", rows.columns_of(FULL), id=number)
    assert rows.update(db, "records", {"id": frozenset({1, 2, 9}), "colour": "red"}, colour="blue") == 2
    assert rows.update(db, "records", {"id": 1, "colour": "red"}, colour="green") == 0
    assert [row["colour"] for row in db.execute("SELECT colour FROM records ORDER BY id")] == [
        "blue",
        "blue",
        "red",
    ]
