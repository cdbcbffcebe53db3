"""The test behind what is claimed: strict at first, spent at the last look, and never sure of nothing."""

from __future__ import annotations

import random

from supervisor.analysis.noise import estimate_noise
from supervisor.analysis.sequential_test import chance_if_equal, discard_from, keep_up_to


def test_early_looks_are_strict_and_the_last_one_ends_every_doubt() -> None:
    looks = [keep_up_to(runs, 0.01, 5) for runs in range(1, 6)]
    assert looks == sorted(looks) and looks[-1] == 0.01 and looks[0] < 0.0005
    hopeless = [discard_from(runs, 5) for runs in range(1, 6)]
    assert hopeless == sorted(hopeless, reverse=True) and (hopeless[0], hopeless[-1]) == (0.25, 0.0)


def test_equal_code_passes_no_more_often_than_the_rate() -> None:
    dice = random.Random(4)

    def passes() -> bool:
        base, other = ([dice.gauss(0, 1) for _ in range(12)] for _ in range(2))
        for runs in (3, 4, 6, 9, 12):
            ours, theirs = other[:runs], base[:runs]
            noise = estimate_noise([ours, theirs], prior_weight=0.0)
            gain = sum(ours) / runs - sum(theirs) / runs
            p = chance_if_equal(gain, runs, runs, noise.sd, noise.degrees_of_freedom)
            if p <= keep_up_to(runs, 0.05, 12):
                return True
        return False

    assert sum(passes() for _ in range(1000)) <= 75
