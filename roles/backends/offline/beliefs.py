"""What the search believes an edit would gain, and how sure it is: a normal posterior per arm.

An arm is a knob with a direction, or a structural edit. Verdicts of the arm count in full, those of the
opposite direction with less weight and the other sign, those of the same category as a hint. All gains are in
the metric's unit; `scale` is the noise SD of one run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from roles.backends.offline.edits import Edit
from roles.backends.offline.history import Evidence
from roles.backends.offline.knowledge import Prior, prior_of

_PRIOR_SD = 2.5  # all in noise SDs
_VERDICT_SD = 1.5  # a gain was measured with noise, and elsewhere it would have been another
_OPPOSITE_SD = 4.0
_OPPOSITE_SHARE = -0.4
_OPPOSITE_HOPE = 2.0  # at most this much hope from the other direction's loss
_REPEAT_SHARE = 0.5  # what a kept step is expected to gain when it is taken again
_REPEAT_SD = 1.5
_DRIFT_SD = 1.0  # the code has changed since: an old verdict says a little less
_CATEGORY_SHARE = 0.3
_CATEGORY_LIMIT = 5.0


@dataclass(frozen=True, slots=True)
class Belief:
    """The gain that an edit is expected to bring."""

    mean: float
    sd: float
    prior: Prior
    evidence: tuple[Evidence, ...]  # of the arm itself
    opposite: tuple[Evidence, ...]  # of the same knob the other way

    @property
    def knows(self) -> bool:
        """Whether any verdict speaks to it."""
        return bool(self.evidence or self.opposite)


class Beliefs:
    """Posteriors over all arms, from the verdicts so far."""

    def __init__(self, evidence: Iterable[Evidence], banked: frozenset[str], scale: float) -> None:
        """`banked`: the experiments that the present canvas stands on; their gains are had already."""
        self._scale = scale
        self._banked = banked
        self._by_arm: dict[str, list[Evidence]] = defaultdict(list)
        surprises: dict[str, list[float]] = defaultdict(list)
        for item in evidence:
            prior = prior_of(item.edit)
            surprise = item.gain / scale - prior.gain
            surprises[prior.category].append(max(-_CATEGORY_LIMIT, min(_CATEGORY_LIMIT, surprise)))
            for arm in item.edit.arms:
                self._by_arm[arm].append(item)
        self._category = {name: sum(found) / (len(found) + 3) for name, found in surprises.items()}

    def of(self, edit: Edit) -> Belief:
        """The belief in one edit."""
        prior = prior_of(edit)
        own = [item for arm in edit.arms for item in self._by_arm.get(arm, ())]
        opposite = [item for arm in edit.arms for item in self._by_arm.get(_opposite(arm), ())]
        mean = prior.gain + _CATEGORY_SHARE * self._category.get(prior.category, 0.0)
        variance = _PRIOR_SD**2
        for item in opposite:
            share = min(_OPPOSITE_SHARE * item.gain / self._scale, _OPPOSITE_HOPE)
            mean, variance = _update(mean, variance, share, _OPPOSITE_SD)
        for item in own:
            mean, variance = _update(mean, variance + _DRIFT_SD**2, item.gain / self._scale, _VERDICT_SD)
        if own and own[-1].experiment_id in self._banked:
            mean, variance = mean * _REPEAT_SHARE, variance + _REPEAT_SD**2
        sd = variance**0.5
        return Belief(mean * self._scale, sd * self._scale, prior, tuple(own), tuple(opposite))


def _update(mean: float, variance: float, seen: float, seen_sd: float) -> tuple[float, float]:
    weight = variance / (variance + seen_sd**2)
    return mean + weight * (seen - mean), variance * (1 - weight)


def _opposite(arm: str) -> str:
    knob, _, direction = arm.rpartition(" ")
    flipped = {"up": "down", "down": "up", "=True": "=False", "=False": "=True"}.get(direction, "")
    return f"{knob} {flipped}"
