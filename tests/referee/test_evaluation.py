"""Bits per byte against answers known on paper, and every probe seen red."""

from __future__ import annotations

import math
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

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
    run = referee.this_run()
    run.data = referee.Data(fingerprint="known", train=tokens, val=tokens, token_bytes=lengths)
    return referee


def test_a_uniform_guess_costs_eleven_bits_a_token(known_text: ModuleType) -> None:
    model = Table(torch.zeros(2048))
    assert known_text.evaluate_bpb(model) == pytest.approx(11 / 2.5, abs=2e-3)  # 2 and 3 bytes in turn


def test_every_target_is_scored_once_and_bos_never(known_text: ModuleType) -> None:
    known_text.evaluate_bpb(Table(torch.zeros(2048)))
    run = known_text.this_run()
    targets = run.data.val[1 : (len(run.data.val) - 1) // 128 * 128 + 1]
    assert run.evaluated_bytes == 2 * (targets == HEDGEHOG).sum() + 3 * (targets == SUN).sum()


def test_unequal_odds(known_text: ModuleType) -> None:
    # A quarter for é, half for 日, the last quarter on a token that never comes; BOS is impossible.
    logits = torch.full((2048,), -torch.inf)
    logits[[HEDGEHOG, SUN, 100]] = torch.tensor([0.25, 0.5, 0.25]).log() + 3.0  # a shift changes nothing
    targets = known_text.evaluation_windows(known_text.this_run().data.val)[:, 1:]
    of_hedgehog, of_sun = int((targets == HEDGEHOG).sum()), int((targets == SUN).sum())
    expected = (2 * of_hedgehog + 1 * of_sun) / (2 * of_hedgehog + 3 * of_sun)
    assert expected == pytest.approx(0.6, abs=1e-3)
    assert known_text.evaluate_bpb(Table(logits)) == pytest.approx(expected, rel=1e-6)


def test_real_text_by_an_independent_sum(referee: ModuleType) -> None:
    torch.manual_seed(0)
    model, run = Bigram(referee), referee.this_run()
    bits_per_byte = referee.evaluate_bpb(model)
    rows = min(referee.EVAL_TOKENS, len(run.data.val) - 1) // 128
    tokens = torch.from_numpy(run.data.val[: rows * 128 + 1].astype(np.int64))
    with torch.no_grad():
        surprise = -torch.log2(model(tokens[:-1]).double().softmax(-1)).gather(1, tokens[1:, None])[:, 0]
    text = tokens[1:][tokens[1:] != referee.BOS]
    size = int(run.data.token_bytes[text].sum())
    assert bits_per_byte == pytest.approx(float(surprise[tokens[1:] != referee.BOS].sum()) / size, rel=1e-6)


class Looking(Bigram):
    """Attention without its mask: every position sees the whole row."""

    def hidden(self, x: Tensor) -> Tensor:
        seen = self.table(x)
        return seen + nn.functional.scaled_dot_product_attention(seen, seen, seen)


class Peeking(Bigram):
    """Sees one token ahead, at one position only."""

    def hidden(self, x: Tensor) -> Tensor:
        seen = self.table(x)
        seen[:, -2] = seen[:, -2] + seen[:, -1]
        return seen


class Masked(Bigram):
    def hidden(self, x: Tensor) -> Tensor:
        seen = self.table(x)
        return seen + nn.functional.scaled_dot_product_attention(seen, seen, seen, is_causal=True)


class BatchNormed(Bigram):
    """Normalised over the batch and the row, by what is in it now."""

    def __init__(self, referee: ModuleType) -> None:
        super().__init__(referee)
        self.norm = nn.BatchNorm1d(16, track_running_stats=False)

    def hidden(self, x: Tensor) -> Tensor:
        return self.norm(self.table(x).transpose(1, 2)).transpose(1, 2)


class RowLooking(Bigram):
    """Each row sees the row above it."""

    def hidden(self, x: Tensor) -> Tensor:
        seen = self.table(x)
        return seen + seen.roll(1, 0)


class Counting(Bigram):
    """Keeps a buffer of how often it was asked, and answers as before."""

    def __init__(self, referee: ModuleType) -> None:
        super().__init__(referee)
        self.register_buffer("asked", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.asked += 1
        return super().forward(x)


class Waking(Bigram):
    """Turns its dropout back on."""

    def forward(self, x: Tensor) -> Tensor:
        self.train()
        return super().forward(x)


class Shapely(Looking):
    """Looks ahead only in batches of the shape that scores come in."""

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) if x.shape == (16, 128) else self.table(x)


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


class Dropping(Bigram):
    """Dropout that does not know it is being evaluated."""

    def hidden(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(self.table(x), 0.5, training=True)


class Remembering(Bigram):
    """Learns from the text that it is evaluated on, where no state dict shows it."""

    def __init__(self, referee: ModuleType) -> None:
        super().__init__(referee)
        self.counts: dict[int, Tensor] = {0: torch.zeros(referee.vocab_size)}
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls > 2:  # the first batch and its repeat are over by now
            self.counts[0] = self.counts[0] + torch.bincount(x.flatten(), minlength=len(self.counts[0]))
        return super().forward(x) + (1 + self.counts[0]).log()


@pytest.mark.parametrize(
    ("kind", "probe"),
    [
        (Looking, "causality"),
        (Shapely, "causality"),
        (Caching, "causality"),
        (Peeking, "causality"),
        (BatchNormed, "independence"),
        (RowLooking, "independence"),
        (Counting, "mutation"),
        (Waking, "mutation"),
        (Dropping, "repeatability"),
        (Remembering, "repeatability"),
    ],
)
def test_probes_say_no(referee: ModuleType, kind: type[Bigram], probe: str) -> None:
    with pytest.raises(referee.Rejected, match=f"^{probe}: "):
        referee.evaluate_bpb(kind(referee))


@pytest.mark.parametrize("kind", [Bigram, Masked])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_honest_models_pass(referee: ModuleType, kind: type[Bigram], dtype: torch.dtype) -> None:
    model = kind(referee).to(dtype)
    with torch.no_grad():
        model.table.weight *= 8  # sharp answers: rounding shows
    assert 0 < referee.evaluate_bpb(model) < 40


def test_running_statistics_are_no_fault(referee: ModuleType) -> None:
    model = BatchNormed(referee)
    model.norm = nn.BatchNorm1d(16)
    assert referee.evaluate_bpb(model) > 0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_no_numbers_end_the_run(referee: ModuleType, value: float) -> None:
    logits = torch.zeros(2048)
    logits[5] = value
    with pytest.raises(referee.Diverged, match=r"^diverged: "):
        referee.evaluate_bpb(Table(logits))


def test_no_chance_at_all_for_what_comes_is_infinite(referee: ModuleType) -> None:
    logits = torch.full((2048,), -torch.inf)
    logits[0] = 0.0
    with pytest.raises(referee.Diverged, match="inf"):
        referee.evaluate_bpb(Table(logits))


def test_other_shapes_and_types_are_refused(referee: ModuleType) -> None:
    class Wide(Bigram):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)[..., :-1]

    class Whole(Bigram):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).long()

    for kind, got in ((Wide, "2047"), (Whole, "int64")):
        with pytest.raises(TypeError, match=got):
            referee.evaluate_bpb(kind(referee))


def test_evaluation_draws_nothing_and_happens_once(referee: ModuleType) -> None:
    referee.this_run()
    model = Bigram(referee)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    referee.evaluate_bpb(model)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    with pytest.raises(referee.RefereeError, match="once"):
        referee.evaluate_bpb(model)


@pytest.mark.parametrize(("gigabytes", "rows"), [(8.3, 1), (17, 2), (25, 4), (85, 16), (151, 32)])
def test_the_logits_of_a_batch_fit_the_accelerator(
    referee: ModuleType, monkeypatch: pytest.MonkeyPatch, gigabytes: float, rows: int
) -> None:
    properties = SimpleNamespace(total_memory=int(gigabytes * 1e9))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(referee, "VOCAB_SIZE", 8192)
    monkeypatch.setattr(referee, "MAX_SEQ_LEN", 2048)
    assert referee.rows_at_once("cuda:0") == rows
    assert rows * 2048 * 8192 * 4 <= max(gigabytes * 1e9 / 64, 2048 * 8192 * 4)
    assert referee.rows_at_once("cpu") == 1


def test_windows_of_a_large_split_are_small_and_spread(
    referee: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(referee, "EVAL_TOKENS", 2**20)
    referee.this_run()
    tokens = np.arange(2**22 + 1).astype(np.uint16)
    windows = referee.evaluation_windows(tokens)
    assert windows.shape == (2**13, 129)
    assert windows.dtype == torch.int32
    for row in (0, 1, 4000, 8191):
        start = row * 512
        assert windows[row].tolist() == tokens[start : start + 129].tolist()
