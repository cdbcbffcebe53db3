"""Tokens per second of our loader against best-fit packing as upstream describes it, in one run.

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
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))
import prepare

BATCH_ROWS = 32
BUFFERED_DOCUMENTS = 1000
SETTLING_BATCHES = 40
ROUNDS, ROUND_S = 3, 1.0
LENGTHS = (128, 1024)

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


def main() -> None:
    """Print the table."""
    os.environ.update(AUTORESEARCH_BUDGET_S="1e9", AUTORESEARCH_CLOCK="wall", AUTORESEARCH_DEVICE="cpu")
    run = prepare.this_run()
    tokenizer = Tokenizer.from_file(str(prepare.cache_root() / run.data.fingerprint / "tokenizer.json"))
    documents = prepare.read_documents(os.environ.get("AUTORESEARCH_SOURCE") or prepare.DATA_SOURCE)
    texts = [text for name, text in documents if prepare.split_of(name) == "train"]
    encoded = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
    tokens = sum(map(len, encoded))
    print(f"\n{len(texts)} documents, {tokens / 1e6:.2f} M tokens, {BATCH_ROWS} rows a batch")
    print(f"{'T':>6}  {'loader':30} {'M tokens/s':>10} {'':>8} {'tokens used':>12}")
    for length in LENGTHS:
        print(*measure(length, texts, encoded, tokenizer), sep="\n", flush=True)


if __name__ == "__main__":
    main()
