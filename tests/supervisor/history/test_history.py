"""A history of another harness: ranked without its crashes, its keeps held against the noise."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from supervisor.history.ranked import HistoryError, read_history

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
