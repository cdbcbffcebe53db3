"""What to do with a candidate: build on it when its expected gain is worth it, else let it go. Pure.

A keep that turns out to be none is left again for what it was made from, a discard stays one: so a keep needs no
second run, and a near miss gets one where that is worth more than what a run of a fresh candidate brings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from supervisor.analysis.campaign_model import CampaignModel
from supervisor.analysis.gain_prior import GainEstimate
from supervisor.lab.config import DecideSection

FALL_BACK = 0.5  # what is expected to lose this much, in the noise of one run, is built on no more
REPEAT_SHARE = (
    0.75  # of what another run seems to be worth: the estimate takes a skewed belief for a normal one
)


class DecideRules(DecideSection):
    """The `[decide]` table of autoresearch.toml, and how often a junior may mend an edit that crashed."""

    repairs: int = 0


class Ruling(StrEnum):
    """What is to be done with a candidate."""

    KEEP = "keep"
    DISCARD = "discard"
    REPEAT = "repeat"  # another seed


@dataclass(frozen=True, slots=True)
class Decision:
    """A ruling with its grounds, in the metric's unit; positive is better."""

    ruling: Ruling
    estimate: GainEstimate
    wanted: float  # the expected gain from which it is kept
    worth_of_a_run: float  # what another run of it would bring
    yield_of_a_run: float  # what a run of a fresh candidate brings


def decide(model: CampaignModel, commit: str, rules: DecideSection, lines_added: int = 0) -> Decision:
    """Judge a candidate by everything that was measured so far."""
    estimate, noise = model.gain(commit), model.noise_sd
    wanted = (rules.worth + rules.line_price * max(lines_added, 0)) * noise
    worth = REPEAT_SHARE * worth_of_another_run(estimate, wanted, noise)
    if estimate.gain > wanted:
        ruling = Ruling.KEEP
    elif model.runs_of(commit) < rules.max_runs and worth > model.yield_per_run:
        ruling = Ruling.REPEAT
    else:
        ruling = Ruling.DISCARD
    return Decision(ruling, estimate, wanted, worth, model.yield_per_run)


def worth_of_another_run(estimate: GainEstimate, wanted: float, noise_sd: float) -> float:
    """How much one more run of a near miss is expected to bring by saving it."""
    short = wanted - estimate.gain
    reach = estimate.sd**2 / math.hypot(estimate.sd, noise_sd) if estimate.sd > 0 else 0.0
    if short <= 0 or reach <= 0:
        return 0.0
    z = short / reach
    return reach * math.exp(-z * z / 2) / math.sqrt(2 * math.pi) - short * 0.5 * math.erfc(z / math.sqrt(2))


def falls_back(model: CampaignModel, commit: str) -> bool:
    """Whether what was learned since a commit was kept says to build on its parent again."""
    return model.holds_pair(commit) and model.gain(commit).gain < -FALL_BACK * model.noise_sd
