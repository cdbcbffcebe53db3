"""How often a verdict is wrong, and what it costs: simulated labs, one small table.

    python benchmarks/verdicts.py [--labs 1000] [--experiments 100] [--seed 0]

Gains are in σ, the SD of one training run across seeds, unknown to the labs at the start. Columns:

- identical kept, all: share kept of candidates that equal the baseline, over campaigns of nothing else;
- at first: the same for the first candidate of a fresh lab, as in `kept of gains`;
- claimed of nothing: what those campaigns print in the end as the champion's gain over the baseline, mean
  over labs. Ours prints the mean of fresh runs, the others that of the runs they decided by;
- kept of gains: share kept of first candidates whose true gain is 1, 2, 3 σ. For ours the incumbent has six
  runs when the candidate arrives, and these six are all that the noise is known from;
- runs per candidate: baselines and the incumbents' fresh runs included;
- champion, mix: its true and its claimed gain after a campaign of the realistic mix.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace

from simulated_labs import NOISE_SHARES, BestSoFar, Ours, Rule, TwoSd, World, always, realistic, simulate

from supervisor.analysis.sequential_test import DecideRules


@dataclass(frozen=True)
class Figures:
    """One row of the table."""

    identical_kept: float
    claimed_of_nothing: float
    kept_at_first: tuple[float, ...]  # true gains of 0, 1, 2, 3 σ
    runs_realistic: float
    runs_identical: float
    true_gain: float
    claimed_gain: float


def figures(rule: Rule, world: World, labs: int, experiments: int, seed: int) -> Figures:
    """Everything that the table says about one rule in one world."""
    identical = simulate(rule, replace(world, gains=always(0)), labs, experiments, seed)
    mixed = simulate(rule, replace(world, gains=realistic), labs, experiments, seed + 1)
    first = replace(rule, baselines=6) if isinstance(rule, Ours) else rule
    at_first = [
        simulate(first, replace(world, gains=always(gain)), 10 * labs, 1, seed + 2 + gain)
        for gain in range(4)
    ]
    return Figures(
        identical_kept=float(identical.kept.mean()),
        claimed_of_nothing=float(identical.claimed.mean()),
        kept_at_first=tuple(float(campaigns.kept.mean()) for campaigns in at_first),
        runs_realistic=mixed.runs_per_candidate,
        runs_identical=identical.runs_per_candidate,
        true_gain=float(mixed.true.mean()),
        claimed_gain=float(mixed.claimed.mean()),
    )


def rows(labs: int, experiments: int, seed: int) -> dict[str, Figures]:
    """The table: the three rules, then ours where its assumptions fail."""
    world = World(gains=realistic)
    low, high = NOISE_SHARES
    cases: dict[str, tuple[Rule, World]] = {
        "better than the best so far": (BestSoFar(), world),
        "2 SD, else mean of 3 better": (TwoSd(), world),
        "ours": (Ours(), world),
        "ours, heavy tails (t5)": (Ours(), replace(world, tails=5.0)),
        "ours, σ drifts by ±30 %": (Ours(), replace(world, drift=0.3)),
        f"ours, σ {low:.2%} of the level": (Ours(), replace(world, noise_shares=(low, low))),
        f"ours, σ {high:.2%} of the level": (Ours(), replace(world, noise_shares=(high, high))),
        "ours, max_runs = 3": (Ours(rules=DecideRules(max_runs=3)), world),
    }
    return {name: figures(rule, case, labs, experiments, seed) for name, (rule, case) in cases.items()}


HEAD = """
                            identical kept   claimed of  kept of gains of   runs per candidate  champion, mix
rule                          all  at first     nothing   1σ    2σ    3σ   realistic identical true claimed"""


def line(name: str, row: Figures) -> str:
    """One line of the table."""
    none, one, two, three = row.kept_at_first
    return (
        f"{name:27}{row.identical_kept:6.2%}  {none:7.2%}   {row.claimed_of_nothing:6.2f} σ"
        f"  {one:4.0%} {two:5.1%} {three:5.1%}  {row.runs_realistic:8.2f} {row.runs_identical:9.2f}"
        f" {row.true_gain:6.1f} {row.claimed_gain:6.1f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Simulate verdict rules: wrong keeps, kept gains, cost.")
    parser.add_argument("--labs", type=int, default=1000)
    parser.add_argument("--experiments", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started = time.perf_counter()
    print(f"{options.labs} labs of {options.experiments} experiments, seed {options.seed}")
    print("realistic mix: 15 % gains of 0.5–3 σ, 45 % identical, 40 % losses of 0.5–10 σ")
    print(HEAD)
    for name, row in rows(options.labs, options.experiments, options.seed).items():
        print(line(name, row))
    mixed = simulate(Ours(), World(gains=realistic), options.labs, options.experiments, options.seed + 1)
    none, one, two, three = (mixed.share_kept(gain - 0.2, gain + 0.2, incumbent_runs=6) for gain in range(4))
    print(
        f"\nours amid the realistic mix, incumbents of 6 runs and more: kept {none:.2%} of the identical, "
        f"{one:.0%} / {two:.0%} / {three:.0%} of gains within 0.2 of 1 / 2 / 3 σ"
    )
    print(f"{time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
