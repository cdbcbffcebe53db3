"""How many altered rows an evaluation needs: leaks of many kinds, and how far the corrected score stays from honest.

Simulated costs: each token's by a heavy-tailed draw, as of a small model; a leak lowers it at some positions by some
nats. Printed is what is left of a leak worth 2 σ of a run after the correction, in σ: its mean, its spread, and how
often the run is refused. σ is .007 bits per byte, at 3.05 bytes a token. `python benchmarks/look_ahead.py`
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

ROWS, LENGTH = 512, 128  # of the default lab's evaluation
SIGMA_NATS = 0.007 * 3.05 * math.log(2)  # a token
LEAK_SIGMAS = 2.0
SAMPLES = (64, 128, 256, 512)
TRIALS = 100
REFUSED_NATS = 0.002
Numbers = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Leak = Callable[[Numbers, np.random.Generator], Numbers]


def softly(costs: Numbers, _dice: np.random.Generator) -> Numbers:
    """The same little everywhere."""
    return np.full(costs.shape, 1.0)


def by_surprise(costs: Numbers, _dice: np.random.Generator) -> Numbers:
    """More where the token was hard to guess."""
    return costs


def in_some_rows(costs: Numbers, dice: np.random.Generator) -> Numbers:
    """In one row of four, those that read like real text to the end."""
    return costs * (dice.random((len(costs), 1)) < 0.25)


def rarely(share: float) -> Leak:
    """All of the cost at a share of the positions."""
    return lambda costs, dice: costs * (dice.random(costs.shape) < share)


LEAKS: dict[str, Leak] = {
    "soft, everywhere": softly,
    "by surprise": by_surprise,
    "coherent rows": in_some_rows,
    "one in 10": rarely(0.1),
    "one in 40": rarely(0.025),
    "one in 100": rarely(0.01),
}


def left_over(leak: Leak, sample: int, dice: np.random.Generator) -> tuple[float, bool]:
    """σ by which the corrected score is below the honest one, and whether the run is refused."""
    costs = dice.gamma(0.6, 4.0, (ROWS, LENGTH))
    gains = leak(costs, dice)
    gains *= LEAK_SIGMAS * SIGMA_NATS / gains.mean()
    rows = dice.permutation(ROWS)[:sample]
    places = dice.permutation((np.arange(sample) + dice.random(sample)) / sample * LENGTH).astype(int)
    moved = gains[rows, places]
    return float(gains.mean() - moved.mean()) / SIGMA_NATS, bool(np.abs(moved).mean() > REFUSED_NATS)


def main() -> None:
    """Print the table."""
    dice = np.random.default_rng(13)
    print(f"| a leak of {LEAK_SIGMAS:g} σ | altered rows | left after correction, σ | spread, σ | refused |")
    print("|---|---|---|---|---|")
    for name, leak in LEAKS.items():
        for sample in SAMPLES:
            found = [left_over(leak, sample, dice) for _ in range(TRIALS)]
            left = np.array([each for each, _ in found])
            refused = np.mean([refused for _, refused in found])
            print(f"| {name} | {sample} | {left.mean():+.2f} | {left.std():.2f} | {refused:.0%} |")


if __name__ == "__main__":
    main()
