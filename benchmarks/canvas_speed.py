"""Training tokens per second of our train.py against a plain CPU version of the upstream recipe, same model.

Both take short turns on the same random tokens, with 1 and with 2 threads; a ratio is that of a pair of
neighbouring turns, so that whatever else the machine does meets both. One thread is timed in CPU seconds, for
these hold on a machine with other work; two are timed by the wall.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from plain_recipe import PlainGPT, PlainOptimizer, Shape

from supervisor.lab.presets import PRESETS, stamp, template_path

SHAPE = Shape(vocabulary=2048, depth=4, width=128, heads=2, context=256, short_window=32)
ROWS = 2
TURNS, TURN_S = 12, 0.8
Step = Callable[[], None]


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Random tokens: what they say does not matter to speed."""
    window = torch.randint(SHAPE.vocabulary, (ROWS, SHAPE.context + 1))
    return window[:, :-1].contiguous(), window[:, 1:].contiguous()


def our_step() -> tuple[Step, int]:
    """A step of our train.py with the strong recipe, and its parameters."""
    referee = types.ModuleType("prepare")
    facts = {"seed": 1, "device": "cpu", "vocab_size": SHAPE.vocabulary, "sequence_length": SHAPE.context}
    referee.__dict__.update(facts, Batches=object)
    sys.modules["prepare"] = referee
    text = PRESETS["h100"].stamped("training/train.py", (template_path() / "training/train.py").read_text())
    size = {"DEPTH": SHAPE.depth, "N_EMBD": SHAPE.width, "N_HEAD": SHAPE.heads, "COMPILE": False}
    canvas: dict[str, Any] = {"__name__": "canvas"}
    exec(compile(stamp(text, size), "train.py", "exec"), canvas)
    model = canvas["GPT"]()
    optimizers, scaler = canvas["build_optimizers"](model), torch.amp.GradScaler("cuda", enabled=False)

    def step() -> None:
        canvas["loss_of"](model, *batch()).backward()
        canvas["update"](model, optimizers, scaler, 0.5)

    return step, sum(p.numel() for p in model.parameters())


def plain_step() -> tuple[Step, int]:
    """A step of the plain version, and its parameters."""
    model = PlainGPT(SHAPE)
    optimizer = PlainOptimizer(model)

    def step() -> None:
        model(*batch()).backward()
        optimizer.step()

    return step, sum(p.numel() for p in model.parameters())


def tokens_per_s(step: Step, clock: Callable[[], float]) -> float:
    """Over one turn."""
    steps, began_s = 0, clock()
    while (took_s := clock() - began_s) < TURN_S:
        step()
        steps += 1
    return steps * ROWS * SHAPE.context / took_s


def measure(threads: int, ours: Step, plain: Step) -> str:
    """A row of the table."""
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    for step in (ours, plain):
        step()
    speeds: dict[str, list[float]] = {"ours": [], "plain": []}
    ratios = []
    for turn in range(TURNS):
        pair = [("ours", ours), ("plain", plain)]
        for name, step in pair if turn % 2 == 0 else pair[::-1]:
            speeds[name].append(tokens_per_s(step, clock))
        ratios.append(speeds["ours"][-1] / speeds["plain"][-1])
    low, _, high = statistics.quantiles(ratios, n=4)
    medians = f"{statistics.median(speeds['ours']):12,.0f} {statistics.median(speeds['plain']):12,.0f}"
    return f"{threads:7} {medians} {statistics.median(ratios):8.2f} ({low:.2f}–{high:.2f})"


def main() -> None:
    """Print the table."""
    torch.manual_seed(1)
    (ours, our_size), (plain, plain_size) = our_step(), plain_step()
    print(
        f"\n{our_size:,} parameters in ours, {plain_size:,} in the plain one; {ROWS} × {SHAPE.context} tokens a step"
    )
    print(f"{'threads':>7} {'ours tok/s':>12} {'plain tok/s':>12} {'ratio':>8} (quartiles)")
    for threads in sorted({1, min(2, os.cpu_count() or 1)}):
        print(measure(threads, ours, plain), flush=True)


if __name__ == "__main__":
    main()
