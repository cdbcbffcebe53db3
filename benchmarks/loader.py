"""Whether the loader feeds a GPU, what an evaluation costs beside the model, and what packing would do.

The loader is asked for the batches of the largest preset, from tokens that fit no cache; the evaluation for all
that it does besides the model's own work, with a model of 50 M parameters that answers at once. Then tokens per
second of our loader against best-fit packing as upstream describes it, in one run:

Upstream's loader encodes documents as it goes, puts BOS before each, and packs them into rows of T + 1: the
longest document that still fits, and when none fits the shortest one, cropped; the rest of it is thrown away.
Ours reads rows at random places of an array of tokens that was encoded once, chunk by chunk.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - as everybody writes it
from tokenizers import Tokenizer
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
import corpus
import prepare

BATCH_ROWS = 32
BUFFERED_DOCUMENTS = 1000
SETTLING_BATCHES = 40
ROUNDS, ROUND_S = 3, 1.0
LENGTHS = (128, 1024)
PRESET_ROWS, PRESET_LENGTH = 128, 2048  # of the preset for an H100
TRAINED_PER_S = {"H100": 1.7e6, "H200 at most": 3.4e6}  # upstream's run: 500 M tokens in 300 s; twice that
BUDGET_S, ALLOWED_SHARE = 300.0, 0.02
EVALUATED_TOKENS = (2**21, 2**22, 2**24)
EVALUATED_ROWS = 32  # at once, as on an H200
PARAMETERS = 50_000_000
SMALL_VOCABULARY = 64  # the softmax is the accelerator's work, and not counted

Batch = tuple[Tensor, Tensor]


@dataclass
class Packing:
    """Best-fit packing of documents into batches, and how much of them it used."""

    documents: Iterator[list[int]]  # without BOS
    length: int
    buffer: list[list[int]] = field(default_factory=list)
    encoded_tokens: int = 0
    used_tokens: int = 0

    def __iter__(self) -> Packing:
        return self

    def __next__(self) -> Batch:
        rows = torch.tensor([self.next_row() for _ in range(BATCH_ROWS)])
        return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()

    def next_row(self) -> list[int]:
        """T + 1 tokens, without padding."""
        row: list[int] = []
        while (room := self.length + 1 - len(row)) > 0:
            while len(self.buffer) < BUFFERED_DOCUMENTS:
                self.buffer.append([prepare.BOS, *next(self.documents)])
            fitting = [index for index, document in enumerate(self.buffer) if len(document) <= room]
            pick = (
                max(fitting, key=self.size_of) if fitting else min(range(len(self.buffer)), key=self.size_of)
            )
            document = self.buffer.pop(pick)
            self.encoded_tokens += len(document)
            self.used_tokens += min(len(document), room)
            row += document[:room]
        return row

    def size_of(self, index: int) -> int:
        """Tokens of the buffered document at `index`."""
        return len(self.buffer[index])


def encode_again(texts: list[str], tokenizer: Tokenizer) -> Iterator[list[int]]:
    """The documents for ever, encoded each time, as a loader does that keeps no tokens."""
    for start in itertools.cycle(range(0, len(texts), 32)):
        for encoding in tokenizer.encode_batch_fast(texts[start : start + 32]):
            yield encoding.ids


def tokens_per_s(batches: Iterator[Batch]) -> float:
    """Tokens handed out per second, over ROUND_S."""
    tokens, began_s = 0, time.perf_counter()
    while (took_s := time.perf_counter() - began_s) < ROUND_S:
        tokens += next(batches)[0].numel()
    return tokens / took_s


def measure(length: int, texts: list[str], encoded: list[list[int]], tokenizer: Tokenizer) -> list[str]:
    """The rows of the table for one context length; the loaders take turns, so all meet the same machine."""
    packed = Packing(itertools.cycle(encoded), length)
    share = steady_share(packed)
    packed_again = Packing(encode_again(texts, tokenizer), length, list(packed.buffer))
    ours = prepare.Batches(prepare.this_run(), BATCH_ROWS, length)
    loaders: list[tuple[str, Iterator[Batch], float]] = [
        ("best-fit, encoding as it goes", packed_again, share),
        ("best-fit, encoded before", packed, share),
        ("ours", ours, reached_share(length)),
    ]
    speeds: dict[str, list[float]] = {name: [] for name, _, _ in loaders}
    for _, (name, batches, _) in itertools.product(range(ROUNDS), loaders):
        speeds[name].append(tokens_per_s(batches))
    median = {name: statistics.median(found) for name, found in speeds.items()}
    slowest = min(median.values())
    return [
        f"{length:6}  {name:30} {median[name] / 1e6:10.3f} {median[name] / slowest:7.0f}x {used:12.1%}"
        for name, _, used in loaders
    ]


def steady_share(packing: Packing) -> float:
    """The share of the encoded tokens that reach a batch, once the first, short documents are gone."""
    for _ in range(SETTLING_BATCHES):
        next(packing)
    packing.encoded_tokens = packing.used_tokens = 0
    for _ in range(SETTLING_BATCHES):
        next(packing)
    return packing.used_tokens / packing.encoded_tokens


def reached_share(length: int) -> float:
    """The share of the tokens of our array that reach a batch within eight times its length."""
    run = copy.copy(prepare.this_run())
    places = np.arange(2**16, dtype=np.uint16)  # tokens that say where they stand
    run.data = dataclasses.replace(run.data, train=places)
    drawn = 8 * len(places) // (BATCH_ROWS * length)
    seen = torch.cat(
        [x.flatten() for x, _ in itertools.islice(prepare.Batches(run, BATCH_ROWS, length), drawn)]
    )
    return len(np.unique(seen.numpy())) / len(places)


class Answering(nn.Module):
    """As many parameters as a real model has to be hashed, and no work."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(PARAMETERS), requires_grad=False)
        self.logits = torch.zeros(SMALL_VOCABULARY)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(*x.shape, -1)


@dataclass
class Timed:
    """A function, and the seconds that were spent in it."""

    call: Callable[..., Tensor]
    took_s: float = 0.0

    def __call__(self, *given: Any, **named: Any) -> Tensor:
        began_s = time.perf_counter()
        answer = self.call(*given, **named)
        self.took_s += time.perf_counter() - began_s
        return answer


def feeding(folder: str) -> list[str]:
    """How many times faster than the fastest preset the loader is, on 256 MB of tokens."""
    path = Path(folder) / "train.bin"
    np.random.default_rng(0).integers(0, 2**13, 2**27, dtype=np.uint16).tofile(path)
    run = copy.copy(prepare.this_run())
    run.data = dataclasses.replace(run.data, train=np.memmap(path, np.uint16, "r"))
    batches = prepare.Batches(run, PRESET_ROWS, PRESET_LENGTH)
    speed = statistics.median(tokens_per_s(batches) for _ in range(ROUNDS))
    batch_ms = 1e3 * PRESET_ROWS * PRESET_LENGTH / speed
    lines = [
        f"{PRESET_ROWS} rows of {PRESET_LENGTH}: {speed / 1e6:.0f} M tokens/s, {batch_ms:.2f} ms a batch"
    ]
    for name, needed in TRAINED_PER_S.items():
        lines.append(f"  {name:13} takes {needed / 1e6:.1f} M tokens/s: headroom {speed / needed:.0f}x")
    return lines


def evaluating() -> list[str]:
    """Seconds that an evaluation takes beside the model and the softmax, as a share of the budget."""
    run, lines = copy.copy(prepare.this_run()), []
    tokens = np.random.default_rng(0).integers(
        0, SMALL_VOCABULARY - 1, max(EVALUATED_TOKENS) + 1, dtype=np.uint16
    )
    run.data = dataclasses.replace(
        run.data, val=tokens, token_bytes=torch.ones(SMALL_VOCABULARY, dtype=torch.int64)
    )
    prepare.VOCAB_SIZE, prepare.BOS, prepare.MAX_SEQ_LEN = (
        SMALL_VOCABULARY,
        SMALL_VOCABULARY - 1,
        PRESET_LENGTH,
    )
    for wanted in EVALUATED_TOKENS:
        prepare.EVAL_TOKENS = wanted
        began_s, softmax = time.perf_counter(), Timed(F.cross_entropy)
        as_there = mock.patch.object(prepare, "rows_at_once", return_value=EVALUATED_ROWS)
        with torch.inference_mode(), as_there, mock.patch.object(F, "cross_entropy", softmax):
            prepare.score(Answering(), prepare.Evaluation(run, "val"))
        took_s = time.perf_counter() - began_s - softmax.took_s
        share = took_s / BUDGET_S
        verdict = "within" if share < ALLOWED_SHARE else "MORE THAN"
        lines.append(
            f"{wanted / 2**20:4.0f} Mi tokens: {took_s:5.2f} s, {share:.2%} of {BUDGET_S:.0f} s"
            f" ({verdict} {ALLOWED_SHARE:.0%})"
        )
    return lines


def main() -> None:
    """Print the tables."""
    os.environ.update(AUTORESEARCH_BUDGET_S="1e9", AUTORESEARCH_CLOCK="wall", AUTORESEARCH_DEVICE="cpu")
    run = prepare.this_run()
    tokenizer = Tokenizer.from_file(str(prepare.cache_root() / run.data.fingerprint / "tokenizer.json"))
    source = os.environ.get("AUTORESEARCH_SOURCE") or prepare.DATA_SOURCE
    documents = corpus.open_corpus(source).read(0)
    texts = list(itertools.islice((text for split, _, text in documents if split == "train"), 20_000))
    encoded = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
    tokens = sum(map(len, encoded))
    print(f"\n{len(texts)} documents, {tokens / 1e6:.2f} M tokens, {BATCH_ROWS} rows a batch")
    print(f"{'T':>6}  {'loader':30} {'M tokens/s':>10} {'':>8} {'tokens used':>12}")
    for length in LENGTHS:
        print(*measure(length, texts, encoded, tokenizer), sep="\n", flush=True)
    print("\nthe loader, for an accelerator")
    with tempfile.TemporaryDirectory() as folder:
        print(*feeding(folder), sep="\n", flush=True)
    print("\nthe evaluation, beside model and softmax; on this CPU", flush=True)
    print(*evaluating(), sep="\n")  # last, for it changes the referee's knobs


if __name__ == "__main__":
    main()
