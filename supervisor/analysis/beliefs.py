"""What a snapshot's runs and verdicts say together: its rows, in order, as the campaign's model takes them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from supervisor.analysis.campaign_model import CampaignModel, Happening, MeasuredRun, Settled
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import Verdict


def model_of(snapshot: LabSnapshot) -> CampaignModel:
    """What is believed of this campaign's commits, worked out once."""
    return snapshot.once(_build)


def carry_over(earlier: LabSnapshot, later: LabSnapshot) -> None:
    """Let the later snapshot go on from what the earlier one has worked out, where the past is still the same."""
    model = earlier.known(_build)
    if model is None or model.floor != later.noise_floor:
        return
    happenings = happenings_of(later)
    done = len(model.happenings)
    if happenings[:done] == model.happenings:
        for happening in happenings[done:]:
            model.take(happening)
        later.remember(_build, model)


def happenings_of(snapshot: LabSnapshot) -> list[Happening]:
    """Measured runs and verdicts of the campaign's setting, in the order in which they happened."""
    timed = sorted(_timed(snapshot), key=lambda entry: entry[:2])
    known: set[str] = set()
    taken: list[Happening] = []
    for _, _, happening in timed:
        match happening:
            case MeasuredRun(commit=commit, parent=parent):
                # What builds on something that was never measured here can't be compared.
                if parent is not None and parent not in known:
                    continue
                known.add(commit)
            case Settled(commit=commit):
                if commit not in known:
                    continue
        taken.append(happening)
    return taken


def best_to_build_on(snapshot: LabSnapshot, candidates: Iterable[Experiment]) -> Experiment | None:
    """The incumbent of the best expected value; None without any that was measured."""
    model = model_of(snapshot)
    known = [one for one in candidates if model.knows(one.id)]
    baseline = snapshot.baseline_id
    if baseline is None or not model.knows(baseline):
        return None
    return max(known, key=lambda one: model.difference(one.id, baseline)[0], default=None)


def expected_gain_over_baseline(snapshot: LabSnapshot, experiment: Experiment) -> tuple[float, float] | None:
    """The claim: how much better than the baseline the commit is expected to be, and the SD of that."""
    model, baseline = model_of(snapshot), snapshot.baseline_id
    if baseline is None or not (model.knows(experiment.id) and model.knows(baseline)):
        return None
    return model.difference(experiment.id, baseline)


def _build(snapshot: LabSnapshot) -> CampaignModel:
    model = CampaignModel(snapshot.noise_floor)
    for happening in happenings_of(snapshot):
        model.take(happening)
    return model


def _timed(snapshot: LabSnapshot) -> Iterator[tuple[float, int, Happening]]:
    campaign = snapshot.campaign
    if campaign is None:
        return
    kinds = {hypothesis.id: hypothesis.category for hypothesis in snapshot.hypotheses}
    for one in snapshot.experiments:
        if one.setting_id != campaign.setting.id:
            continue
        kind = kinds.get(one.hypothesis_id or "", "")
        for run in one.runs:
            if run.metric is not None and math.isfinite(run.metric) and run.finished_at is not None:
                value = campaign.direction.sign * run.metric
                taken = MeasuredRun(one.id, one.parent_id, run.device or "", value, kind)
                yield run.finished_at, 0, taken
        if one.verdict in (Verdict.KEEP, Verdict.DISCARD) and one.decided_at is not None:
            yield one.decided_at, 1, Settled(one.id, one.verdict is Verdict.KEEP)
