"""What the search believes an edit would gain, and how sure it is: a normal posterior per arm.

An arm is a knob with a direction, or a structural edit. Verdicts of the arm count in full, those of the
opposite direction with less weight and the other sign, those of the same category as a hint. All gains are in
the metric's unit; `scale` is the noise SD of one run.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from roles.backends.offline.catalogue import CATALOGUE
from roles.backends.offline.edits import CatalogueEdit, Edit
from roles.backends.offline.history import EditVerdict

_PRIOR_SD = 2.5  # all in noise SDs
_VERDICT_SD = 1.5  # a gain was measured with noise, and elsewhere it would have been another
_OPPOSITE_SD = 4.0
_OPPOSITE_SHARE = -0.4
_OPPOSITE_HOPE = 2.0  # at most this much hope from the other direction's loss
_REPEAT_SHARE = 0.5  # what a kept move is expected to gain when it is taken again
_REPEAT_SD = 1.5
_DRIFT_SD = 1.0  # the code has changed since: an old verdict says a little less
_CATEGORY_SHARE = 0.3
_CATEGORY_LIMIT = 5.0


@dataclass(frozen=True, slots=True)
class Prior:
    """What an arm is expected to do before this lab measured anything, in noise SDs, and why.

    It decides only where the search looks first; verdicts overrule it.
    """

    gain: float
    reason: str
    category: str


# Pattern of the arm, category, expected gain in noise SDs, reason.
_ARMS: tuple[tuple[str, str, float, str], ...] = (
    (r"\w*(TOKENS|BATCH)\w* down", "batch", 5.0, "at a fixed time budget more updates usually beat larger batches"),
    (r"\w*(TOKENS|BATCH)\w* up", "batch", -2.0, "a larger batch costs updates"),
    (r"\w*(WARMDOWN|COOLDOWN)\w* up", "schedule", 2.0, "a longer warm-down takes the noise out of the last steps"),
    (r"\w*(WARMDOWN|COOLDOWN)\w* down", "schedule", -1.5, "a shorter warm-down leaves noise in the last steps"),
    (r"WARMUP\w* up", "schedule", -0.5, "a warm-up allows larger steps later, at the cost of early ones"),
    (r"FINAL\w* \w+", "schedule", -0.5, "the end of the schedule sets how far the noise falls"),
    (r"\w*EMBED\w*_LR up", "learning rate", 3.0,
        "a token's row sees few updates in a short run and takes larger steps than a matrix"),
    (r"\w*MUON_LR \w+", "learning rate", -0.5, "Muon's step size sets how fast the matrices move"),
    (r"SCALAR_LR up", "learning rate", -0.5, "norms have few weights; their rate rarely binds"),
    (r"\w*(LR|LEARNING_RATE)\w* up", "learning rate", 1.5,
        "in short runs the learning rate is usually too small, until it is not"),
    (r"\w*(LR|LEARNING_RATE)\w* down", "learning rate", -2.0, "smaller steps learn less in a short run"),
    (r"(DEPTH|N_LAYERS?|NUM_LAYERS) down", "shape", 3.0,
        "fewer layers are faster, and a short budget sees more tokens"),
    (r"(DEPTH|N_LAYERS?|NUM_LAYERS) up", "shape", -1.5, "depth costs tokens in a short budget"),
    (r"\w*(EMBD|D_MODEL|WIDTH|ASPECT)\w* up", "shape", -0.5, "width buys capacity for speed"),
    (r"\w*(EMBD|D_MODEL|WIDTH|ASPECT)\w* down", "shape", -1.0, "a narrower model is faster and knows less"),
    (r"\w*HEAD\w* down", "attention", 0.5, "fewer, larger heads are faster at small widths"),
    (r"\w*MATRIX_OPTIMIZER =muon", "optimizer", 4.0, "Muon moves every direction of a matrix alike"),
    (r"\w*OPTIMIZER \S+", "optimizer", -0.5, "another optimizer takes other steps"),
    (r"VALUE_EMBED\w* =True", "embedding", 2.5, "value embeddings add capacity at next to no compute"),
    (r"QK_NORM\w* =True", "attention", 0.5, "normalised queries and keys allow larger learning rates"),
    (r"WINDOW\w* \S+", "attention", -0.5, "near tokens matter most, and shorter attention is cheaper"),
    (r"ROPE\w* down", "attention", 0.5, "contexts are short here: shorter wavelengths resolve them better"),
    (r"SOFTCAP\w* up", "head", -0.5, "a soft cap keeps early logits tame"),
    (r"WEIGHT_DECAY\w* down", "regularisation", 0.0, "a short run sees each token once: little to regularise"),
    (r"\w*CLIP\w* \w+", "regularisation", 0.0, "clipping trades the speed of early steps against their safety"),
    (r"\w*(BETA|MOMENTUM)\w* \w+", "optimizer", 0.0, "the memory of the optimizer should match the number of steps"),
    (r"\w*INIT\w* \w+", "init", -0.5, "the initial scale sets what the first steps see"),
    (r"\w*(MLP|FFN|EXPANSION)\w* \w+", "shape", -0.5, "the MLP holds most of the weights"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Belief:
    """The gain that an edit is expected to bring."""

    mean: float
    sd: float
    prior: Prior
    evidence: tuple[EditVerdict, ...]  # of the arm itself
    opposite: tuple[EditVerdict, ...]  # of the same knob the other way

    @property
    def knows(self) -> bool:
        """Whether any verdict speaks to it."""
        return bool(self.evidence or self.opposite)


class Beliefs:
    """Posteriors over all arms, from the verdicts so far."""

    def __init__(self, evidence: Iterable[EditVerdict], banked: frozenset[str], scale: float) -> None:
        """`banked`: the experiments that the present canvas stands on; their gains are had already."""
        self._scale = scale
        self._banked = banked
        self._by_arm: dict[str, list[EditVerdict]] = defaultdict(list)
        surprises: dict[str, list[float]] = defaultdict(list)
        for item in evidence:
            prior = prior_of(item.edit)
            surprise = item.gain / scale - prior.gain
            surprises[prior.category].append(max(-_CATEGORY_LIMIT, min(_CATEGORY_LIMIT, surprise)))
            for arm in item.edit.arms:
                self._by_arm[arm].append(item)
        self._category = {name: sum(sds) / (len(sds) + 3) for name, sds in surprises.items()}

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


def prior_of(edit: Edit) -> Prior:
    """What is known of an edit beforehand; nothing, for most knobs that this table has never heard of."""
    if isinstance(edit, CatalogueEdit):
        entry = CATALOGUE[edit.id]
        return Prior(entry.prior, entry.rationale.rstrip("."), entry.category)
    for pattern, category, gain, reason in _ARMS:
        if re.fullmatch(pattern, edit.arms[0], re.IGNORECASE):
            return Prior(gain, reason, category)
    return Prior(-1.0, "nothing is known of this knob here; most steps lose", "other")


def _update(mean: float, variance: float, gain: float, gain_sd: float) -> tuple[float, float]:
    weight = variance / (variance + gain_sd**2)
    return mean + weight * (gain - mean), variance * (1 - weight)


def _opposite(arm: str) -> str:
    knob, _, direction = arm.rpartition(" ")
    flipped = {"up": "down", "down": "up", "=True": "=False", "=False": "=True"}.get(direction, "")
    return f"{knob} {flipped}"
