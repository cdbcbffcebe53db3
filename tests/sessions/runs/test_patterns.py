"""`[metric] pattern`, and the lines that nearly say a metric."""

from __future__ import annotations

import time

import pytest

from sessions.runs.metric_pattern import PatternReader, problem_of
from sessions.runs.near_misses import near_miss, numbers_by_name, why_absent
from sessions.runs.printed_metric import MetricReader


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("val_loss = 1.06", 1.06),
        ("val_loss: 106.1%", 106.1),
        ("val_loss: 1,060.50", 1060.5),
        ("val_loss: 1.06 nats", 1.06),
        ("step 9 | val_loss: 1.06 | lr 0.1", 1.06),
        ("Val Loss: 1.06", 1.06),
        ("epoch 3, val_loss 1.06e-3, lr 3", 1.06e-3),
        ("| val-loss | 1.06 |", 1.06),
        ('[INFO] "val_loss" -> -1.5', -1.5),
        ("val_loss (mean of 3): 4e-5", 4e-5),
    ],
)
def test_a_near_miss_is_quoted_with_the_pattern_that_reads_it(line: str, value: float) -> None:
    output = f"warming up\n{line}\nbye\n"
    plain = MetricReader("val_loss")
    plain.take(output.encode())
    assert plain.reading().value is None
    miss = near_miss(output.splitlines(), "val_loss")
    assert miss is not None and problem_of(miss.pattern) == ""
    reader = MetricReader("val_loss", pattern=miss.pattern)
    reader.take(output.encode())
    assert reader.reading().value == value
    why = why_absent(output, "val_loss")
    assert why == f" (saw “{line}”, nearly a val_loss): write [metric] pattern = '{miss.pattern}'"


@pytest.mark.parametrize(
    ("line", "other"), [("took: 1.23ms", "took: 987µs"), ("took = 0.5 GB/s", "took = 900 MB/s")]
)
def test_a_suggested_pattern_reads_one_unit(line: str, other: str) -> None:
    miss = near_miss([line], "took")
    assert miss is not None
    reader = PatternReader(miss.pattern)
    reader.read([line])
    first = reader.value
    reader.read([other])
    assert reader.value == first is not None


def test_without_one_the_error_names_what_was_printed() -> None:
    assert why_absent("train_loss: 3\nscore: 4\n", "val_loss") == "; it printed train_loss, score"
    assert why_absent("working\n", "val_loss") == ""
    assert near_miss(["xval_loss = 3", "val_losses = 3", "val_loss is good"], "val_loss") is None
    assert [one.name for one in numbers_by_name(["Test accuracy 93.2%, 3 epochs"])] == ["Test accuracy"]
    assert [one.name for one in numbers_by_name(["NDCG@10 = 0.98  ms = 3"])] == ["NDCG@10", "ms"]


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("loss: (", "is no regular expression: missing ), unterminated subpattern at position 6"),
        ("loss", "must have one (group), which is the number; it has 0"),
        ("(a)(b)", "must have one (group), which is the number; it has 2"),
        ("(" + "a" * 600 + ")", "is longer than 500 characters"),
    ],
)
def test_a_pattern_that_can_not_be_one_is_refused_with_the_place(pattern: str, problem: str) -> None:
    assert problem_of(pattern) == problem


def test_a_pattern_that_never_ends_holds_nothing_up() -> None:
    began = time.process_time()
    reader = PatternReader(r"(x+x+)+y")
    reader.read(["x" * 4000])
    assert reader.gave_up and time.process_time() - began < 3.0
    reader.read(["xxy"])
    assert reader.value is None
    slow = MetricReader("ms", pattern=r"(x+x+)+y")
    slow.take(b"x" * 4000 + b"\n")
    assert "takes too long" in slow.reading().problem


def test_a_pattern_reads_the_last_line_that_has_a_number() -> None:
    reader = PatternReader(r"best=(\S+)")
    reader.read(["best=3", "best=1e-3 of 5", "best=none", "best"])
    assert reader.value == 1e-3
