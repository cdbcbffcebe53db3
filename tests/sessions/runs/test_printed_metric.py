"""What a run's output says of its metrics, in every dialect, whatever else is printed."""

from __future__ import annotations

import json
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessions.runs.metric_formats import DIALECTS, MetricFormat
from sessions.runs.printed_metric import MetricReader, Reading

UPSTREAM = b"""\
\rstep 00000 (0.1%) | loss: 9.011 | val_bpb: 3 \rstep 00952 (100.0%) | loss: 2.8
---
val_bpb:          0.997900
training_seconds: 300.1
peak_vram_mb:     45060.2
"""


def read(output: bytes, *also: str, name: str = "mse", only: MetricFormat = MetricFormat.AUTO) -> Reading:
    reader = MetricReader(name, also, only)
    reader.take(output)
    return reader.reading()


@pytest.mark.parametrize(
    ("output", "value", "dialect"),
    [
        (b"---\nmse:          0.5\nsteps: 3\n", 0.5, MetricFormat.COLON),
        (b"METRIC mse=0.25\n", 0.25, MetricFormat.METRIC),
        (b"METRIC:mse=1e-3", 1e-3, MetricFormat.METRIC),
        (b"EVAL_RESULT: mse=-4\n", -4.0, MetricFormat.EVAL_RESULT),
        (b'{"pass": true, "mse": 7}\n', 7.0, MetricFormat.JSON),
        (b'{"pass": true, "score": 0.625}\n', 0.625, MetricFormat.JSON),
        (b'{"metrics": {"mse": 3.5}}\nbye\n', 3.5, MetricFormat.JSON),
        (b'done\n{\n  "case": {"n": 1},\n  "mse": 0.5\n}\n', 0.5, MetricFormat.JSON),
        (b"12 ms here\n0.125\n\n", 0.125, MetricFormat.NUMBER),
        (b"\x1b[1;32mmse\x1b[0m: \x1b[33m0.5\x1b[0m\n", 0.5, MetricFormat.COLON),
    ],
)
def test_every_dialect_is_read(output: bytes, value: float, dialect: MetricFormat) -> None:
    assert read(output) == Reading(value, dialect)
    assert read(output, only=dialect).value == value
    assert all(read(output, only=other).value is None for other in DIALECTS if other is not dialect)


@pytest.mark.parametrize(
    "output",
    [
        b"", b"mse: \n", b"mse: good\n", b"the mse: 3\n", b"MSE: 3\n", b"mse: 1.2.3\n", b"mse: 0x10\n",
        b"METRIC mse\n", b"METRICmse=3\n", b"EVAL mse=3\n", b"METRIC other=3\n", b'{"mse": "0.5"}\n',
        b'{"mse": true}\n', b'{"mse": null}\n', b'["mse", 3]\n', b"0.5\nthat was it\n", b"0.5 0.6\n",
        b'{"mse": 3', b'x {"mse": 3}\n', b"mse:" + b" " * 2000 + b"3\n", b"mse:3" + b"0" * 70000,
    ],
)  # fmt: skip
def test_what_is_no_report_is_none(output: bytes) -> None:
    assert read(output).value is None


def test_upstreams_block_counts_and_not_its_progress() -> None:
    reading = read(UPSTREAM, "peak_vram_mb", "mfu_percent", name="val_bpb")
    assert (reading.value, reading.also, reading.others) == (0.9979, {"peak_vram_mb": 45060.2}, ())


def test_the_most_explicit_dialect_counts_and_within_it_the_last_line() -> None:
    output = b'METRIC mse=3\nMETRIC mse=2\n{"mse": 2.00001}\nmse: 9\nEVAL_RESULT: mse=2\n17\n'
    assert read(output) == Reading(2.0, MetricFormat.METRIC, {}, ((MetricFormat.COLON, 9.0),))


@pytest.mark.parametrize("word", [b"nan", b"NaN", b"inf", b"-Infinity", b"1e999"])
def test_a_last_line_that_is_no_number_is_told_and_an_earlier_one_does_not_stand_in(word: bytes) -> None:
    value = read(b"mse: 1.5\nmse: %s\n" % word).value
    assert value is not None and not math.isfinite(value)


def test_json_numbers_beyond_floats_are_infinite() -> None:
    assert read(b'{"mse": 1%s}' % (b"0" * 400)).value == math.inf
    assert math.isnan(read(b'{"mse": NaN}').value or 0.0)
    assert read(b'{"a":' * 5000 + b"1" + b"}" * 5000).value is None


def test_an_evaluator_that_says_no_is_heard() -> None:
    assert read(b'{"pass": false, "score": 0.9}').refused
    assert read(b'{"pass": false}').refused
    assert not read(b'{"pass": false, "mse": 1}\n{"pass": true, "mse": 2}').refused
    assert not read(b'{"pass": false, "mse": 1}\nMETRIC mse=2').refused


def test_secondary_metrics_are_read_in_any_dialect_and_only_when_finite() -> None:
    output = b'METRIC mse=1\nMETRIC time_ms=12\nmemory_mb: 3\n{"depth": 4, "loss": NaN}\n'
    assert read(output, "time_ms", "memory_mb", "depth", "loss", "absent").also == {
        "time_ms": 12.0, "memory_mb": 3.0, "depth": 4.0,
    }  # fmt: skip


def test_names_are_taken_as_they_are() -> None:
    assert read(b"f1.score@5 (%): 3\n", name="f1.score@5 (%)").value == 3.0
    assert read(b"f1xscore: 3\n", name="f1.score").value is None
    assert read("µs: 3\n".encode(), name="µs").value == 3.0


noise = st.binary(max_size=200).map(
    lambda data: data.replace(b"mse", b"").replace(b"{", b"").replace(b"\x1b", b"")
)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
LINES = {
    MetricFormat.METRIC: lambda v: f"METRIC mse={v!r}",
    MetricFormat.EVAL_RESULT: lambda v: f"EVAL_RESULT: mse={v!r}",
    MetricFormat.COLON: lambda v: f"mse: {v!r}",
    MetricFormat.JSON: lambda v: json.dumps({"mse": v}),
}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(LINES)), numbers, noise), min_size=1, max_size=8), st.data())
def test_whatever_is_printed_in_between_and_however_it_is_cut(
    said: list[tuple[MetricFormat, float, bytes]], data: st.DataObject
) -> None:
    output = b"".join(b"\n%s\n%s\n" % (other, LINES[kind](value).encode()) for kind, value, other in said)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(output)), max_size=6)))
    reader = MetricReader("mse")
    for start, end in zip([0, *cuts], [*cuts, len(output)], strict=True):
        reader.take(output[start:end])
    reading = reader.reading()
    best = min((kind for kind, _, _ in said), key=DIALECTS.index)
    assert reading.dialect is best
    assert reading.value == [value for kind, value, _ in said if kind is best][-1]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=6))
def test_no_output_breaks_it(pieces: list[bytes]) -> None:
    reader = MetricReader("m", ("a",))
    for piece in pieces:
        reader.take(piece)
    assert isinstance(reader.reading(), Reading)


def test_a_flood_is_read_in_passing() -> None:
    began = time.process_time()
    reader = MetricReader("mse")
    for piece in (b"\rprogress 1 " * 5000, b"x" * 65536, b'{"a": 1}\n' * 6000, b" " * 65536, b"{\n" * 30000):
        for _ in range(20):
            reader.take(piece)
    reader.take(b"\nmse: 4")
    assert reader.reading().value == 4.0
    assert time.process_time() - began < 5.0
