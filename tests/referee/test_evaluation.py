"""Bits per byte against answers known on paper, and every probe seen red."""

from __future__ import annotations

import math
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.referee.conftest import score_of

HEDGEHOG, SUN = 7, 9  # "é" is two bytes of UTF-8, "日" three


class Table(nn.Module):
    """Knows one distribution over the next token, whatever it is asked."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(*x.shape, -1)


class Bigram(nn.Module):
    """A causal model: each answer depends on one token."""

    def __init__(self, referee: ModuleType) -> None:
        super().__init__()
        self.table = nn.Embedding(referee.vocab_size, 16)
        self.head = nn.Linear(16, referee.vocab_size)

    def hidden(self, x: Tensor) -> Tensor:
        return self.table(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(x))


@pytest.fixture
def known_text(referee: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The validation text is "é日é日…", with a BOS before every 64 characters."""
    tokens = np.array(([referee.BOS] + [HEDGEHOG, SUN] * 32) * 100, np.uint16)
    lengths = torch.zeros(referee.vocab_size, dtype=torch.int64)
    lengths[HEDGEHOG], lengths[SUN] = len("é".encode()), len("日".encode())
    data = referee.Data(fingerprint="known", train=tokens, val=tokens, token_bytes=lengths.numpy())
    monkeypatch.setattr(referee, "open_data", lambda: data)
    return referee


def test_a_uniform_guess_costs_eleven_bits_a_token(known_text: ModuleType) -> None:
    model = Table(torch.zeros(2048))
    assert score_of(known_text, model) == pytest.approx(11 / 2.5, abs=2e-3)  # 2 and 3 bytes in turn


def test_every_target_is_scored_once_and_bos_never(known_text: ModuleType, capfd: Any) -> None:
    data, scores = known_text.open_data(), []
    write = known_text.Run._write_report
    known_text.Run._write_report = lambda run, score, asked: scores.append(score) or write(run, score, asked)
    score_of(known_text, Table(torch.zeros(2048)))
    targets = data.val[1 : (len(data.val) - 1) // 128 * 128 + 1]
    assert scores[0]["evaluated_bytes"] == 2 * (targets == HEDGEHOG).sum() + 3 * (targets == SUN).sum()


def test_unequal_odds(known_text: ModuleType) -> None:
    # A quarter for é, half for 日, the last quarter on a token that never comes; BOS is impossible.
    logits = torch.full((2048,), -torch.inf)
    logits[[HEDGEHOG, SUN, 100]] = torch.tensor([0.25, 0.5, 0.25]).log() + 3.0  # a shift changes nothing
    targets = known_text.evaluation_windows(known_text.open_data().val, known_text.EVAL_TOKENS)[:, 1:]
    of_hedgehog, of_sun = int((targets == HEDGEHOG).sum()), int((targets == SUN).sum())
    expected = (2 * of_hedgehog + 1 * of_sun) / (2 * of_hedgehog + 3 * of_sun)
    assert expected == pytest.approx(0.6, abs=1e-3)
    assert score_of(known_text, Table(logits)) == pytest.approx(expected, rel=1e-6)


def test_real_text_by_an_independent_sum(referee: ModuleType) -> None:
    torch.manual_seed(0)
    model, data = Bigram(referee), referee.open_data()
    bits_per_byte = score_of(referee, model)
    rows = min(referee.EVAL_TOKENS, len(data.val) - 1) // 128
    tokens = torch.from_numpy(data.val[: rows * 128 + 1].astype(np.int64))
    with torch.no_grad():
        surprise = -torch.log2(model(tokens[:-1]).double().softmax(-1)).gather(1, tokens[1:, None])[:, 0]
    text = tokens[1:][tokens[1:] != referee.BOS]
    size = int(data.token_bytes[text].sum())
    assert bits_per_byte == pytest.approx(float(surprise[tokens[1:] != referee.BOS].sum()) / size, rel=1e-6)


class Looking(Bigram):
    """Adds to each answer what its kind knows of the token that comes."""

    gain = 6.0

    def forward(self, x: Tensor) -> Tensor:
        coming = nn.functional.one_hot(x.roll(-1, 1), 2048)
        return super().forward(x) + self.gain * coming * self.where(x)[..., None]

    def where(self, x: Tensor) -> Tensor:
        return torch.ones(x.shape)


class Softly(Looking):
    gain = 0.5


class Seldom(Looking):
    def where(self, x: Tensor) -> Tensor:
        return (torch.arange(x.shape[1]) % 10 == 7).expand(x.shape).float()


class Confident(Looking):
    """Only where another place of the row says that it is real text to its end."""

    def where(self, x: Tensor) -> Tensor:
        seen = x[:, -8:].sum(1, keepdim=True) % 2
        return seen.expand(x.shape).float()


class OtherRows(Bigram):
    """Each row sees the row above it."""

    def hidden(self, x: Tensor) -> Tensor:
        seen = self.table(x)
        return seen + 3 * seen.roll(1, 0)


class Caching(Bigram):
    """Knows the next token when it meets a past for the first time, and says the same again ever after."""

    def __init__(self, referee: ModuleType) -> None:
        super().__init__(referee)
        self.said: dict[bytes, int] = {}

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        for row, text in enumerate(x):
            data = text.numpy().astype(np.uint16).tobytes()
            for place in range(8, x.shape[1] - 1):  # shorter pasts meet by chance
                told = self.said.setdefault(data[: 2 * place + 2], int(text[place + 1]))
                logits[row, place, told] += 40
        return logits


class Remembering(Bigram):
    """Learns from the text that it is evaluated on, where no state dict shows it."""

    def __init__(self, referee: ModuleType) -> None:
        super().__init__(referee)
        self.counts: dict[int, Tensor] = {0: torch.zeros(referee.vocab_size)}

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x) + (1 + self.counts[0]).log()
        self.counts[0] = self.counts[0] + torch.bincount(x.flatten(), minlength=len(self.counts[0]))
        return logits


class Dropping(Bigram):
    """Dropout that does not know it is being evaluated."""

    def hidden(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(self.table(x), 0.5, training=True)


GAINING = (Looking, Softly, Seldom, Confident, OtherRows, Caching, Remembering, Dropping)


@pytest.mark.parametrize("kind", GAINING)
def test_what_uses_more_than_the_past_is_refused_with_its_size(
    referee: ModuleType, kind: type[Bigram]
) -> None:
    with pytest.raises(referee.Rejected, match=r"^causality: with another future a token costs [+-]\d"):
        score_of(referee, kind(referee))


@pytest.mark.parametrize("kind", [Looking, Softly, Seldom, Confident, Caching, Remembering])
def test_what_looking_ahead_gained_is_taken_away(
    referee: ModuleType, kind: type[Bigram], monkeypatch: pytest.MonkeyPatch
) -> None:
    scores: list[dict[str, float]] = []
    write = referee.Run._write_report
    monkeypatch.setattr(referee, "ROUNDING_NATS", 99.0)
    monkeypatch.setattr(
        referee.Run,
        "_write_report",
        lambda run, score, asked: scores.append(score) or write(run, score, asked),
    )
    torch.manual_seed(0)
    model = kind(referee)
    score_of(referee, model)
    (score,) = scores
    honest = honest_score(referee, model)
    seen = score["val_bpb"] - score["look_ahead_bpb"]
    assert seen < honest - 0.01, "it gains nothing: this proves nothing"
    margin = max(4 * score["look_ahead_error_bpb"], 0.05 * (honest - seen))
    assert score["val_bpb"] > honest - margin
    assert score["val_bpb"] < honest + margin or kind is Caching  # it answers wrongly where it cannot look


def honest_score(referee: ModuleType, model: Bigram) -> float:
    """Bits per byte of the table alone."""
    windows, data = (
        referee.evaluation_windows(referee.open_data().val, referee.EVAL_TOKENS),
        referee.open_data(),
    )
    x, y = (torch.from_numpy(part.astype(np.int64)) for part in (windows[:, :-1], windows[:, 1:]))
    with torch.no_grad():
        nats = nn.functional.cross_entropy(
            Bigram.forward(model, x).flatten(0, 1), y.flatten(), reduction="none"
        )
    lengths = torch.from_numpy(data.token_bytes)[y.flatten()]
    return float((nats * (lengths > 0)).double().sum() / math.log(2) / lengths.sum())


class Masked(Bigram):
    def hidden(self, x: Tensor) -> Tensor:
        seen = self.table(x)
        return seen + nn.functional.scaled_dot_product_attention(seen, seen, seen, is_causal=True)


class BatchNormed(Bigram):
    def __init__(self, referee: ModuleType) -> None:
        super().__init__(referee)
        self.norm = nn.BatchNorm1d(16)

    def hidden(self, x: Tensor) -> Tensor:
        return self.norm(self.table(x).transpose(1, 2)).transpose(1, 2)


class Counting(Bigram):
    """Counts how often it was asked, and answers as before."""

    def __init__(self, referee: ModuleType) -> None:
        super().__init__(referee)
        self.register_buffer("asked", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.asked += 1
        return super().forward(x)


@pytest.mark.parametrize("kind", [Bigram, Masked, BatchNormed, Counting])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_honest_models_pass(referee: ModuleType, kind: type[Bigram], dtype: torch.dtype) -> None:
    model = kind(referee).to(dtype)
    with torch.no_grad():
        model.table.weight *= 8  # sharp answers: rounding shows
    assert 0 < score_of(referee, model) < 40


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_no_numbers_end_the_run(referee: ModuleType, value: float) -> None:
    logits = torch.zeros(2048)
    logits[5] = value
    with pytest.raises(referee.Diverged, match=r"^diverged: "):
        score_of(referee, Table(logits))


def test_no_chance_at_all_for_what_comes_is_infinite(referee: ModuleType) -> None:
    logits = torch.full((2048,), -torch.inf)
    logits[0] = 0.0
    with pytest.raises(referee.Diverged, match="inf"):
        score_of(referee, Table(logits))


def test_other_shapes_and_types_are_refused(referee: ModuleType) -> None:
    class Wide(Bigram):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)[..., :-1]

    class Whole(Bigram):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).long()

    for kind, got in ((Wide, "2047"), (Whole, "int64")):
        with pytest.raises(TypeError, match=got):
            referee.logits_of(kind(referee), torch.zeros(1, 4, dtype=torch.int64))


def test_evaluation_draws_nothing(referee: ModuleType) -> None:
    referee.this_referee()
    model = Bigram(referee)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    score_of(referee, model)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()


@pytest.mark.parametrize(("gigabytes", "rows"), [(8.3, 1), (25, 2), (85, 8), (151, 16)])
def test_the_logits_of_a_batch_fit_the_accelerator(
    referee: ModuleType, monkeypatch: pytest.MonkeyPatch, gigabytes: float, rows: int
) -> None:
    properties = SimpleNamespace(total_memory=int(gigabytes * 1e9))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(referee, "VOCAB_SIZE", 8192)
    monkeypatch.setattr(referee, "MAX_SEQ_LEN", 2048)
    assert referee.rows_at_once("cuda:0") == rows
    assert rows * 2048 * 8192 * 4 <= max(gigabytes * 1e9 / 128, 2048 * 8192 * 4)
    assert referee.rows_at_once("cpu") == 1


def test_windows_of_a_large_split_are_small_and_spread(referee: ModuleType) -> None:
    tokens = np.arange(2**22 + 1).astype(np.uint16)
    windows = referee.evaluation_windows(tokens, 2**20)
    assert windows.shape == (2**13, 129)
    assert windows.dtype == np.int32
    for row in (0, 1, 4000, 8191):
        start = row * 512
        assert windows[row].tolist() == tokens[start : start + 129].tolist()
