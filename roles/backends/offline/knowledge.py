"""What is known about small language models before this lab measured anything: weak priors with reasons.

They decide only where the search looks first; verdicts overrule them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from roles.backends.offline.catalogue import CATALOGUE
from roles.backends.offline.edits import CatalogueEdit, Edit


@dataclass(frozen=True, slots=True)
class Prior:
    """What an arm is expected to do, in noise SDs, and why."""

    gain: float
    reason: str
    category: str


# (pattern of the arm, category, expected gain in noise SDs, reason)
_ARMS: tuple[tuple[str, str, float, str], ...] = (
    (
        r"\w*(TOKENS|BATCH)\w* down",
        "batch",
        5.0,
        "at a fixed time budget more updates usually beat larger batches",
    ),
    (r"\w*(TOKENS|BATCH)\w* up", "batch", -2.0, "a larger batch costs updates"),
    (
        r"\w*(WARMDOWN|COOLDOWN)\w* up",
        "schedule",
        2.0,
        "a longer warm-down takes the noise out of the last steps",
    ),
    (
        r"\w*(WARMDOWN|COOLDOWN)\w* down",
        "schedule",
        -1.5,
        "a shorter warm-down leaves noise in the last steps",
    ),
    (r"WARMUP\w* up", "schedule", -0.5, "a warm-up allows larger steps later, at the cost of early ones"),
    (r"FINAL\w* \w+", "schedule", -0.5, "the end of the schedule sets how far the noise falls"),
    (
        r"\w*EMBED\w*_LR up",
        "learning rate",
        3.0,
        "a token's row sees few updates in a short run and takes larger steps than a matrix",
    ),
    (r"\w*MUON_LR \w+", "learning rate", -0.5, "Muon's step size sets how fast the matrices move"),
    (r"SCALAR_LR up", "learning rate", -0.5, "norms have few weights; their rate rarely binds"),
    (
        r"\w*(LR|LEARNING_RATE)\w* up",
        "learning rate",
        1.5,
        "in short runs the learning rate is usually too small, until it is not",
    ),
    (r"\w*(LR|LEARNING_RATE)\w* down", "learning rate", -2.0, "smaller steps learn less in a short run"),
    (
        r"(DEPTH|N_LAYERS?|NUM_LAYERS) down",
        "shape",
        3.0,
        "fewer layers are faster, and a short budget sees more tokens",
    ),
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
    (
        r"WEIGHT_DECAY\w* down",
        "regularisation",
        0.0,
        "a short run sees each token once: little to regularise",
    ),
    (
        r"\w*CLIP\w* \w+",
        "regularisation",
        0.0,
        "clipping trades the speed of early steps against their safety",
    ),
    (
        r"\w*(BETA|MOMENTUM)\w* \w+",
        "optimizer",
        0.0,
        "the memory of the optimizer should match the number of steps",
    ),
    (r"\w*INIT\w* \w+", "init", -0.5, "the initial scale sets what the first steps see"),
    (r"\w*(MLP|FFN|EXPANSION)\w* \w+", "shape", -0.5, "the MLP holds most of the weights"),
)


def prior_of(edit: Edit) -> Prior:
    """What is known of an edit beforehand; nothing, for most knobs that this table has never heard of."""
    if isinstance(edit, CatalogueEdit):
        entry = CATALOGUE[edit.id]
        return Prior(entry.prior, entry.rationale.rstrip("."), entry.category)
    for pattern, category, gain, reason in _ARMS:
        if re.fullmatch(pattern, edit.arms[0], re.IGNORECASE):
            return Prior(gain, reason, category)
    return Prior(-1.0, "nothing is known of this knob here; most steps lose", "other")
