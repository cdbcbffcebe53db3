"""The leaderboard: what was measured, ranked within each setting, with how far to believe it."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

from supervisor.analysis.champion import CHAMPION_RUNS
from supervisor.analysis.noise import INSIDE_NOISE_SDS
from supervisor.analysis.verdict_basis import is_unverified, margin, runs_behind
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import Direction, Verdict

_MEASURED = frozenset({Verdict.BASELINE, Verdict.KEEP, Verdict.DISCARD})


@dataclass(frozen=True, slots=True)
class Row:
    """One measured experiment in its place. Gains are in the metric's unit, positive is better."""

    rank: int  # 1 is the best of its setting
    experiment: Experiment
    metric: float
    delta_baseline: float | None  # gain over the setting's baseline; None: it has none
    delta_incumbent: float | None  # gain over the incumbent it was judged against; None for the baseline
    inside_noise: bool  # the gain over the incumbent may be luck
    dots: int  # 1 to 3: how much the figure rests on
    champion: bool
    runs: int  # that the figure is the mean of
    margin: float | None  # half of its 95 % interval, in the metric's unit; None: the noise is not known
    flags: int
    unverified: bool  # flagged, and no verification has answered that yet

    @property
    def setting_id(self) -> str:
        """Rows are comparable within one setting only."""
        return self.experiment.setting_id


def leaderboard(snapshot: LabSnapshot) -> tuple[Row, ...]:
    """Decided experiments that have a metric, best first, the campaign's own setting before others.

    A crash, a time-out, a rejection or a thought never has a rank, whatever number it may have printed.
    """
    if snapshot.campaign is None:
        return ()
    by_setting: dict[str, list[tuple[float, Experiment]]] = defaultdict(list)
    for experiment in snapshot.experiments:
        if (metric := ranked_metric(experiment)) is not None:
            by_setting[experiment.setting_id].append((metric, experiment))
    own = snapshot.campaign.setting.id
    settings = sorted(by_setting, key=lambda setting: (setting != own, setting))
    return tuple(row for setting in settings for row in _ranked(snapshot, by_setting[setting]))


def ranked_metric(experiment: Experiment) -> float | None:
    """The finite metric that the experiment's verdict rests on; None where there is none, and so no rank."""
    if experiment.verdict not in _MEASURED:
        return None
    metric = experiment.metric
    return metric if metric is not None and math.isfinite(metric) else None


def dots(experiment: Experiment) -> int:
    """How much the experiment's figure rests on: ●●● from three unbiased runs on, as a champion needs."""
    unbiased = len(experiment.unbiased_runs)
    if unbiased >= CHAMPION_RUNS:
        return 3
    if unbiased or len(experiment.deciding_runs) > 1:
        return 2
    return 1


def _ranked(snapshot: LabSnapshot, pairs: list[tuple[float, Experiment]]) -> list[Row]:
    assert snapshot.campaign is not None
    direction = snapshot.campaign.direction
    pairs.sort(key=lambda pair: (-direction.sign * pair[0], pair[1].id))
    baseline = next((metric for metric, one in pairs if one.verdict is Verdict.BASELINE), None)
    rows = []
    for rank, (metric, experiment) in enumerate(pairs, start=1):
        own = experiment.setting_id == snapshot.campaign.setting.id
        gain = _gain_over_incumbent(snapshot, experiment, metric, direction)
        rows.append(
            Row(
                rank=rank,
                experiment=experiment,
                metric=metric,
                delta_baseline=None if baseline is None else direction.sign * (metric - baseline),
                delta_incumbent=gain,
                inside_noise=gain is not None and _is_inside_noise(snapshot, experiment, gain),
                dots=dots(experiment),
                champion=experiment.id == snapshot.champion_id,
                runs=runs_behind(experiment),
                margin=margin(snapshot.noise, runs_behind(experiment)) if own else None,
                flags=len(experiment.flags),
                unverified=is_unverified(snapshot, experiment),
            )
        )
    return rows


def _gain_over_incumbent(
    snapshot: LabSnapshot, experiment: Experiment, metric: float, direction: Direction
) -> float | None:
    if experiment.parent_id is None:
        return None
    if experiment.gain is not None:
        return experiment.gain
    parent = snapshot.experiment(experiment.parent_id)
    if parent is None or parent.metric is None or parent.setting_id != experiment.setting_id:
        return None
    return direction.sign * (metric - parent.metric)


def _is_inside_noise(snapshot: LabSnapshot, experiment: Experiment, gain: float) -> bool:
    if experiment.gain_low is not None and experiment.gain_high is not None:
        return experiment.gain_low <= 0 <= experiment.gain_high
    if snapshot.noise is None:
        return True
    runs = max(1, len(experiment.unbiased_runs or experiment.deciding_runs))
    return abs(gain) < INSIDE_NOISE_SDS * snapshot.noise.sd * math.sqrt(1 + 1 / runs)
