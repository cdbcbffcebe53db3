"""What kind of plan the numbers suggest. A pure function of the snapshot, with its reason in words."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from supervisor.analysis.lineage import lineage_of
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import Verdict

LITTLE_KNOWN = 6  # verdicts below which nothing can be exploited
DRY = 8  # verdicts without a keep
ENOUGH_TO_COMBINE = 3  # near misses
KEEPS_TO_ABLATE = 3  # on the champion's chain since the last ablation
NEAR_MISS = (0.5, 3.0)  # noise SDs of gain: too little to keep, enough to try again beside another


class PlanMode(StrEnum):
    """What the next plan should mostly be."""

    EXPLORE = "explore"
    EXPLOIT = "exploit"
    COMBINE = "combine"
    ABLATE = "ablate"


def plan_mode_of(snapshot: LabSnapshot) -> tuple[PlanMode, str]:
    """The plan's mode, and the figures that speak for it."""
    decided = _decided(snapshot)
    if len(decided) < LITTLE_KNOWN:
        return PlanMode.EXPLORE, f"only {len(decided)} verdicts are in"
    unproven = _keeps_since_ablation(snapshot, decided)
    if unproven >= KEEPS_TO_ABLATE:
        return PlanMode.ABLATE, f"{unproven} keeps stand on each other and none was taken out again"
    dry = next((at for at, e in enumerate(reversed(decided)) if e.verdict is Verdict.KEEP), len(decided))
    near = near_misses(decided[len(decided) - dry :], snapshot.noise.sd if snapshot.noise else None)
    if len(near) >= ENOUGH_TO_COMBINE:
        examples = ", ".join(e.id for e in near[:6])
        return PlanMode.COMBINE, f"{len(near)} near misses within the noise since the last keep ({examples})"
    if dry >= DRY:
        return PlanMode.EXPLORE, f"{dry} verdicts since the last keep"
    return PlanMode.EXPLOIT, f"the last keep is {dry} verdicts old"


def near_misses(experiments: Iterable[Experiment], noise_sd: float | None) -> tuple[Experiment, ...]:
    """Discards with a gain that the noise could hide; the largest first."""
    if not noise_sd:
        return ()
    low, high = (share * noise_sd for share in NEAR_MISS)
    misses = [e for e in experiments if e.verdict is Verdict.DISCARD and low <= (e.gain or 0.0) <= high]
    return tuple(sorted(misses, key=lambda e: (-(e.gain or 0.0), e.id)))


def _decided(snapshot: LabSnapshot) -> list[Experiment]:
    own = (e for e in snapshot.experiments if e.agent and e.is_decided)
    measurable = (e for e in own if e.verdict is not Verdict.THOUGHT)
    return sorted(measurable, key=lambda e: (e.decided_at or 0.0, e.id))


def _keeps_since_ablation(snapshot: LabSnapshot, decided: list[Experiment]) -> int:
    ablations = {h.id for h in snapshot.hypotheses if h.category.strip().lower().startswith("ablat")}
    tested = [e.decided_at or 0.0 for e in decided if e.hypothesis_id in ablations]
    chain = (e for e in lineage_of(snapshot, snapshot.champion_id) if e.verdict is Verdict.KEEP)
    return sum((e.decided_at or 0.0) > max(tested, default=0.0) for e in chain)
