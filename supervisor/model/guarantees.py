"""What a lab's scores can be trusted for, in words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guarantees:
    """What holds for every score of this lab."""

    # The score is measured from outside the edited code, with probes; else it is what was printed.
    referee: bool
    seeds: bool  # the lab draws the seed of each run; else a repeat has whatever randomness it has
    smoke: bool  # a run of seconds comes before each first run
    holdout: bool  # gains can be checked on text that nobody has seen
    checks: bool  # a command of the person's must pass before an edit runs
    deterministic: bool = False  # every repeat so far gave the very same number

    @property
    def weaker(self) -> tuple[str, ...]:
        """In a word or two each, what is weaker than under our referee; empty: nothing."""
        gaps = (
            ("" if self.referee else "printed metric"),
            ("" if self.seeds else "no seeds" + (", exact repeats" if self.deterministic else "")),
            ("" if self.smoke else "no smoke run"),
            ("" if self.holdout else "no holdout"),
        )
        return tuple(word for word in gaps if word)

    @property
    def line(self) -> str:
        """All of `weaker` on a line; "" when there is nothing."""
        return f"weaker: {', '.join(self.weaker)}" if self.weaker else ""

    @property
    def explained(self) -> tuple[str, ...]:
        """A sentence each, for whoever begins to work with the lab."""
        sentences = []
        if not self.referee:
            sentences.append(
                "the score is what the command printed: edited code that runs with it could print anything"
            )
        if not self.seeds and self.deterministic:
            sentences.append(
                "every repeat gave the very same number: any gain counts as one; [decide] noise_floor sets the least"
            )
        elif not self.seeds:
            sentences.append(
                "runs have no seed: a repeat has whatever randomness it has ([lab] seed_env names a variable)"
            )
        if not self.holdout:
            sentences.append("there is no holdout: a gain may be fitted to what is measured")
        return tuple(sentences)
