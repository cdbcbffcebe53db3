"""The champion, its proof, and the noise that both are held against. Pure functions of a snapshot."""

from __future__ import annotations

import math
from dataclasses import replace

from supervisor.analysis.drift import drift_of, noise_groups
from supervisor.analysis.holdout import HoldoutVerdict, check_holdout, measures_holdout, pairs_of
from supervisor.analysis.noise import EXACT_SHARE_OF_LEVEL, estimate_noise, mean, repeats_exactly
from supervisor.audit.rules import CLEARED_BY_HOLDOUT
from supervisor.model.experiment import Experiment
from supervisor.model.guarantees import Guarantees
from supervisor.model.snapshot import Drift, LabSnapshot, Noise
from supervisor.model.states import RunKind, Verdict

CHAMPION_RUNS = 3  # unbiased runs before anything may be called champion
LAG_SDS = 2.0  # an incumbent this far behind the champion, in its standard errors, gives way to it


def with_analysis(
    snapshot: LabSnapshot, noise_floor: float, guarantees: Guarantees | None = None
) -> LabSnapshot:
    """The snapshot with everything that follows from its rows filled in; without `guarantees`: our referee's."""
    campaign = snapshot.campaign
    if campaign is None:
        return replace(snapshot, guarantees=guarantees)
    decided = [e for e in snapshot.experiments if e.is_decided]
    counted = sum(e.id != snapshot.baseline_id for e in decided)
    hours = campaign.running_s / 3600
    drift = drift_of(snapshot, noise_floor)
    noise, guarantees = _noise(snapshot, drift, noise_floor, guarantees)
    champion = _champion(replace(snapshot, guarantees=guarantees))
    return replace(
        snapshot,
        noise=noise,
        guarantees=guarantees,
        drift=drift,
        champion_id=champion.id if champion else None,
        kept=sum(e.verdict is Verdict.KEEP for e in decided),
        counted=counted,
        experiments_per_hour=counted / hours if hours > 0 else 0.0,
    )


def values(experiment: Experiment, *, unbiased: bool) -> tuple[float, ...]:
    """Its measured metrics: those that estimate it honestly, or those that its own verdict rests on."""
    runs = experiment.unbiased_runs if unbiased else experiment.deciding_runs
    return tuple(run.metric for run in runs if run.metric is not None)


def lags_behind(snapshot: LabSnapshot, incumbent: Experiment, champion: Experiment) -> bool:
    """Whether the champion is better than this incumbent by more than the noise."""
    if snapshot.noise is None or snapshot.campaign is None or incumbent.id == champion.id:
        return False
    ours, theirs = values(incumbent, unbiased=True), values(champion, unbiased=True)
    if not ours or not theirs:
        return False
    gain = snapshot.campaign.direction.sign * (mean(theirs) - mean(ours))
    return gain > LAG_SDS * snapshot.noise.sd * math.sqrt(1 / len(ours) + 1 / len(theirs))


def fresh_kind(experiment: Experiment) -> RunKind:
    """What a further run of an incumbent is for: that of a keep is scored on the sealed holdout as well."""
    return RunKind.VERIFICATION if experiment.verdict is Verdict.KEEP else RunKind.FRESH


def runs_to_prove(snapshot: LabSnapshot) -> int:
    """Unbiased runs before a keep may be called champion; one where every repeat gives the very same number."""
    return 1 if snapshot.guarantees is not None and snapshot.guarantees.deterministic else CHAMPION_RUNS


def is_refuted(snapshot: LabSnapshot, experiment: Experiment) -> bool:
    """Whether the sealed holdout says that the experiment's gain was a gain on the validation text only."""
    check = check_holdout(snapshot, experiment)
    return check is not None and check.verdict is HoldoutVerdict.REFUTED


def is_proven(snapshot: LabSnapshot, experiment: Experiment) -> bool:
    """Whether an experiment may be called champion: enough runs, not refuted, and what is flagged is verified.

    Verified means runs on the sealed holdout that confirm the gain; a lab without one has only fresh seeds. A flag that
    no holdout can clear keeps it from being champion by itself: a person promotes it by name, or not.
    """
    if experiment.verdict is Verdict.BASELINE:
        return bool(experiment.unbiased_runs)
    if experiment.verdict is not Verdict.KEEP or len(experiment.unbiased_runs) < runs_to_prove(snapshot):
        return False
    if any(flag.rule not in CLEARED_BY_HOLDOUT for flag in experiment.flags):
        return False
    if not measures_holdout(snapshot):
        return True
    check = check_holdout(snapshot, experiment)
    if not experiment.flags:
        return check is None or check.verdict is not HoldoutVerdict.REFUTED
    verified = len(pairs_of(experiment)) >= CHAMPION_RUNS
    return verified and check is not None and check.verdict is HoldoutVerdict.CONFIRMED


def _champion(snapshot: LabSnapshot) -> Experiment | None:
    campaign = snapshot.campaign
    assert campaign is not None
    own = (e for e in snapshot.experiments if e.setting_id == campaign.setting.id)
    proven = [e for e in own if is_proven(snapshot, e)]
    sign = campaign.direction.sign
    return max(proven, key=lambda e: sign * mean(values(e, unbiased=True)), default=None)


def _noise(
    snapshot: LabSnapshot, drift: Drift | None, floor: float, guarantees: Guarantees | None
) -> tuple[Noise | None, Guarantees | None]:
    groups = noise_groups(snapshot, drift)
    if not groups:
        return None, guarantees
    # Under a seed of each run's own, equal numbers are a coincidence; without one they are the lab's nature.
    if guarantees is not None and not guarantees.seeds and repeats_exactly(groups):
        level = max(abs(value) for group in groups for value in group)
        exact = estimate_noise(groups, prior_weight=0.0, floor=max(floor, EXACT_SHARE_OF_LEVEL * level))
        return exact, replace(guarantees, deterministic=True)
    return estimate_noise(groups, floor=floor), guarantees
