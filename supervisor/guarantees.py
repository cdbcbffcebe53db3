"""What a lab's results can be trusted for: what our referee gives, and what a lab of another kind has to do without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from supervisor.config import LabConfig

EXACT_REPEATS = (
    3  # further runs that gave the very same number, before a lab without seeds is called deterministic
)
EXACT_SHARE_OF_LEVEL = (
    1e-6  # where runs repeat exactly: the smallest standard deviation that is still believed
)


@dataclass(frozen=True, slots=True)
class Guarantees:
    """What holds for every score of this lab."""

    referee: (
        bool  # the score is measured from outside the edited code, with probes; else it is what was printed
    )
    seeds: bool  # the lab draws the seed of each run; else a repeat has whatever randomness it has
    smoke: bool  # a run of seconds comes before each first run
    holdout: bool  # gains can be checked on text that nobody has seen
    checks: bool  # a command of the person's must pass before an edit runs
    deterministic: bool = False  # every repeat so far gave the very same number

    @property
    def weaker(self) -> tuple[str, ...]:
        """In a word or two each, what is weaker than under our referee; empty: nothing."""
        missing = (
            ("" if self.referee else "printed metric"),
            ("" if self.seeds else "no seeds" + (", exact repeats" if self.deterministic else "")),
            ("" if self.smoke else "no smoke run"),
            ("" if self.holdout else "no holdout"),
        )
        return tuple(word for word in missing if word)

    @property
    def line(self) -> str:
        """All of `weaker` on a line; "" when there is nothing."""
        return f"weaker: {', '.join(self.weaker)}" if self.weaker else ""

    @property
    def explained(self) -> tuple[str, ...]:
        """A sentence each, for whoever begins to work with the lab."""
        said = []
        if not self.referee:
            said.append(
                "the score is what the command printed: edited code that runs with it could print anything"
            )
        if not self.seeds and self.deterministic:
            said.append(
                "every repeat gave the very same number: any gain counts as one; [decide] noise_floor sets the least"
            )
        elif not self.seeds:
            said.append(
                "runs have no seed: a repeat has whatever randomness it has ([lab] seed_env names a variable)"
            )
        if not self.holdout:
            said.append("there is no holdout: a gain may be fitted to what is measured")
        return tuple(said)


def guarantees_of(config: LabConfig, *, has_referee: bool, deterministic: bool = False) -> Guarantees:
    """What this lab gives."""
    return Guarantees(
        referee=has_referee,
        seeds=has_referee or bool(config.lab.seed_env),
        smoke=has_referee,
        holdout=has_referee,
        checks=bool(config.checks.command),
        deterministic=deterministic,
    )


def repeats_exactly(groups: Sequence[Sequence[float]]) -> bool:
    """Whether runs of the same code, some of them repeated often enough, never differed at all."""
    repeats = sum(len(group) - 1 for group in groups if group)
    return repeats >= EXACT_REPEATS and all(len(set(group)) <= 1 for group in groups)
