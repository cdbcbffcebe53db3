"""A history of another harness: ranked without its crashes, its keeps held against the noise."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from supervisor.history.dialects import parse_history
from supervisor.history.ranked import HistoryError, read_history
from supervisor.model.states import Direction

LOWER, HIGHER = Direction.LOWER, Direction.HIGHER

H100 = (Path(__file__).parents[2] / "histories" / "h100-mar8.tsv").read_bytes()
HEADER = "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"


def test_the_public_h100_history_is_ranked_without_its_crash() -> None:
    history = read_history(H100)
    assert len(history.lines) == 126
    assert history.skipped == 0
    (crash,) = [one for one in history.lines if one.status == "crash"]
    assert crash.rank is None
    assert crash.metric is None
    assert [one.number for one in history.lines] == list(range(2, 128))
    best = next(one for one in history.lines if one.rank == 1)
    assert best.metric == pytest.approx(0.969686)
    assert history.claimed_gain == pytest.approx(0.997900 - 0.969686)
    assert len(history.keeps) == 22


def test_its_own_seed_swap_gives_the_noise_and_a_stated_one_wins() -> None:
    history = read_history(H100)
    assert history.noise_sd is not None
    assert history.noise_sd * math.sqrt(2) == pytest.approx(0.0007, abs=0.00006)
    assert not history.noise_stated
    assert read_history(H100, noise_sd=0.0).noise_stated
    assert not any(one.inside_noise for one in read_history(H100, noise_sd=0.0).lines)
    assert sum(one.inside_noise for one in read_history(H100, noise_sd=1.0).lines) == 22


def test_half_of_a_swap_as_the_noise_marks_the_14_keeps_that_are_smaller_than_it() -> None:
    swap = read_history(H100).noise_sd
    assert swap is not None
    assert sum(one.inside_noise for one in read_history(H100, noise_sd=swap / 2).lines) == 14


def test_without_a_seed_swap_there_is_no_noise_and_no_mark() -> None:
    history = read_history((HEADER + "a\t1.0\t1\tkeep\tbase\nb\t0.9\t1\tkeep\tx\n").encode())
    assert history.noise_sd is None
    assert not any(one.inside_noise for one in history.lines)


def test_odd_lines_are_counted_and_never_ranked() -> None:
    text = (
        HEADER + "a\t1.0\t1\tkeep\tbase\nb\tnan\t1\tkeep\tx\nc\t-1\t1\tkeep\tx\nd\t0.000000\t0\tdiscard\tx\n"
    )
    text += "just words\na\t0.9\t1\tkeep\ta second time\ne\tinf\t1\tdiscard\tx\n"
    history = read_history(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert [one.metric for one in history.lines] == [1.0, 0.9]
    assert history.skipped == 5


@pytest.mark.parametrize("content", [b"", b"\n\n", b"commit\tval_bpb\n1\t2\n", HEADER.encode(), b"\xff\x00"])
def test_what_is_no_history_is_named_in_one_line(content: bytes) -> None:
    with pytest.raises(HistoryError) as refused:
        read_history(content)
    assert "\n" not in str(refused.value)


def table(*rows: str, between: str = "\t") -> bytes:
    return "\n".join(row.replace(" ", between) for row in rows).encode()


def test_a_history_that_is_better_higher_is_ranked_and_summed_the_right_way_up() -> None:
    history = read_history(
        table(
            "commit accuracy parse_errors status description", "a 52.50 2 keep base", "b 68.33 0 keep two",
            "c 60.00 0 keep worse", "d 67.50 0 discard long",
        )
    )  # fmt: skip
    assert history.direction is Direction.HIGHER
    assert [one.rank for one in history.lines] == [4, 1, 3, 2]
    assert history.claimed_gain == pytest.approx(68.33 - 52.50)  # first to best, whatever was kept after it


@pytest.mark.parametrize(
    ("content", "metric", "way"),
    [
        (table("id status tokens_per_s description", "1 keep 10 a", "2 keep 20 b"), "tokens_per_s", HIGHER),
        (table("id overall_score kept change", "1 50% yes a", "2 1,060.5 no b"), "overall_score", HIGHER),
        (
            table("commit metric status description", "a 5 keep x", "b 4 keep y", "c 3 keep z"),
            "metric",
            LOWER,
        ),
        (table("commit metric status description", "a 5 keep x", "b 6 keep y"), "metric", HIGHER),
        (table("id,latency_ms,ok,notes", "1,5,1,base", "2,4,0,wrong", "3,3,1,faster"), "latency_ms", LOWER),
    ],
)
def test_the_direction_is_the_names_else_what_the_keeps_show(
    content: bytes, metric: str, way: Direction
) -> None:
    history = read_history(content)
    assert (history.metric_name, history.direction) == (metric, way)


@pytest.mark.parametrize(
    "content",
    [
        table("commit metric status description", "a 5 keep x", "b 6 discard y"),
        table("commit loss status description", "a 1 keep w", "b 2 keep x", "c 3 keep y", "d 4 keep z"),
    ],
)
def test_what_nothing_tells_or_what_is_contradicted_is_asked(content: bytes) -> None:
    with pytest.raises(HistoryError, match="say --direction"):
        read_history(content)
    assert read_history(content, direction=LOWER).lines[0].rank == 1
    assert parse_history(content).direction is None
    assert parse_history(content, "metric", HIGHER).direction in (HIGHER, None)


def test_a_table_of_kernels_has_its_id_first_and_keeps_what_is_right_and_better() -> None:
    history = read_history(
        table(
            "experiment tag kernel_type throughput_tflops latency_us correctness peak_vram_mb description",
            "0 base matmul 100.0 50 PASS 1024 base", "1 t matmul 300.0 17 FAIL 1024 wrong",
            "2 t matmul 120.0 42 PASS 2048 tiles", "3 t matmul 110.0 45 PASS 1024 worse",
        )
    )  # fmt: skip
    assert history.metric_name == "throughput_tflops"
    assert [one.status for one in history.lines] == ["keep", "crash", "keep", "discard"]
    assert [(one.commit, one.rank) for one in history.lines] == [("0", 3), ("1", None), ("2", 1), ("3", 2)]
    assert history.lines[2].memory_gb == 2.0


def test_json_lines_have_metrics_and_side_information() -> None:
    lines = [
        {"type": "config", "metricName": "solved", "bestDirection": "higher"},
        {
            "run": 1,
            "commit": "a1",
            "metric": 3,
            "metrics": {"cost": 9},
            "status": "keep",
            "description": "base",
        },
        {
            "run": 2,
            "commit": "b2",
            "metric": 5,
            "status": "keep",
            "description": "two\nlines",
            "asi": {"why": "x"},
        },
        {"run": 3, "metric": None, "status": "crash", "description": "broke"},
        {"run": 4, "metric": 0, "status": "checks_failed", "description": "no"},
    ]
    history = read_history("\n".join(map(json.dumps, lines)).encode())
    assert (history.metric_name, history.direction, history.claimed_gain) == ("solved", HIGHER, 2.0)
    assert [(one.status, one.metric) for one in history.lines] == [
        ("keep", 3.0), ("keep", 5.0), ("crash", None), ("crash", None),
    ]  # fmt: skip
    assert history.lines[1].description == "two lines"
    plain = [
        {"id": 1, "metrics": {"roc_auc": 0.8}, "kept": True},
        {"id": 2, "metrics": {"roc_auc": 0.7}, "kept": False},
    ]
    named = read_history("\n".join(map(json.dumps, plain)).encode())
    assert (named.metric_name, named.direction, named.lines[1].status) == ("roc_auc", HIGHER, "discard")


def test_the_labs_metric_and_its_direction_count_where_the_file_has_it() -> None:
    content = table("commit loss depth status description", "a 3 1 keep x", "b 2 5 keep y")
    assert parse_history(content, "depth", HIGHER).metric_name == "depth"
    assert parse_history(content, "depth", HIGHER).direction is HIGHER
    assert parse_history(content, "bytes", HIGHER).direction is LOWER
