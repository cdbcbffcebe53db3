"""Which way a metric improves, told by its name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from supervisor.model.states import Direction

LOWER = frozenset(
    """loss losses bpb bpc nll ce cost costs error errors err mse rmse mae mape rmsle perplexity ppl wer cer fid
    latency time times ms us ns µs seconds second secs sec runtime duration elapsed wall minutes bytes kb mb
    size memory rss vram misses miss faults cycles instructions comparisons allocations allocs regret distance
    violations failures conflicts gap steps bins makespan energy joules watts test_count lines brier ece""".split()
)
HIGHER = frozenset(
    """acc accuracy score scores reward rewards return returns f1 auc auroc auprc precision recall map ndcg bleu
    rouge iou dice r2 throughput ops qps rps fps iops flops gflops tflops mfu sharpe profit pnl wins win winrate
    speedup coverage passed pass correct hits solved elo psnr ssim top1 top5 efficiency utilization""".split()
)
# A rate is better when higher, whatever is counted; a cost for each is better when lower.
_RATE = re.compile(r"(_per_(s|sec|second|min|minute|hour)|/s(ec)?|ps)$")
_COST_OF_EACH = re.compile(
    r"^(s|sec|seconds|ms|us|µs|ns|bytes|cycles|.*_(s|ms|us|ns|bytes|cycles))_?(/|per_)\w+$"
)


@dataclass(frozen=True, slots=True)
class NamedDirection:
    """What a name tells; `sure` is False when it tells nothing, or both."""

    direction: Direction
    sure: bool
    why: str


def direction_of(name: str) -> NamedDirection:
    """The direction by the words of the name; lower, the commoner one, where they don't tell."""
    lowered = name.lower()
    if _COST_OF_EACH.search(lowered):
        return NamedDirection(Direction.LOWER, True, f"{name} is a cost of each")
    if _RATE.search(lowered) and not lowered.endswith(("steps", "maps", "gaps", "eps")):
        return NamedDirection(Direction.HIGHER, True, f"{name} is a rate")
    words = _words(name)
    lower, higher = [w for w in words if w in LOWER], [w for w in words if w in HIGHER]
    if lower and not higher:
        return NamedDirection(Direction.LOWER, True, f"less {lower[-1]} is better")
    if higher and not lower:
        return NamedDirection(Direction.HIGHER, True, f"more {higher[-1]} is better")
    return NamedDirection(Direction.LOWER, False, f"the name {name} does not tell")


def _words(name: str) -> list[str]:
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return [word for word in re.split(r"[^a-z0-9µ]+", parts) if word]
