"""The rules of the audit, as data: what is flagged, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Ground(StrEnum):
    """What a rule looks for; its value is the rule's id."""

    REFEREE = "referee-internals"
    IMPORT = "unknown-import"
    FILES = "files"
    EXEC = "exec"
    PROCESS = "process"
    NETWORK = "network"
    NATIVE = "native-code"
    METRIC = "prints-a-metric"
    SEEDS = "seeds"
    CLOCK = "clock"
    PATCHED = "patched"
    BEFORE_CLOCK = "work-before-the-clock"
    AFTER_CLOCK = "work-after-the-clock"
    BATCHES = "second-batches"
    EVALUATION = "evaluation-aware"
    DATA = "embedded-data"


@dataclass(frozen=True, slots=True)
class AuditRule:
    """One kind of thing that is flagged."""

    ground: Ground
    reason: str  # one line for people
    holdout_clears: bool = False  # fitting the validation text is the worst that it could be


RULES = (
    AuditRule(Ground.REFEREE, "uses the referee beyond its public face"),
    AuditRule(Ground.IMPORT, "imports what training has no known use for", holdout_clears=True),
    AuditRule(Ground.FILES, "reads or writes files"),
    AuditRule(Ground.EXEC, "runs or reaches code that a reader cannot see"),
    AuditRule(Ground.PROCESS, "starts or steers processes or threads"),
    AuditRule(Ground.NETWORK, "speaks to a network"),
    AuditRule(Ground.NATIVE, "runs native code of its own"),
    AuditRule(Ground.METRIC, "prints what looks like a result", holdout_clears=True),
    AuditRule(Ground.SEEDS, "chooses its own randomness"),
    AuditRule(Ground.CLOCK, "waits"),
    AuditRule(Ground.PATCHED, "changes what a library or a module means"),
    AuditRule(Ground.BEFORE_CLOCK, "trains before the first batch"),
    AuditRule(Ground.AFTER_CLOCK, "trains after the last batch"),
    AuditRule(Ground.BATCHES, "asks for batches in more than one place", holdout_clears=True),
    AuditRule(Ground.EVALUATION, "may behave otherwise when it is evaluated"),
    AuditRule(Ground.DATA, "carries data in its source", holdout_clears=True),
)

# A gain bought with compute off the clock, a chosen seed, or weights from elsewhere is there on the holdout too, and
# what reaches into the referee could make the holdout say what it likes. Only a person clears such a flag.
CLEARED_BY_HOLDOUT = frozenset(rule.ground.value for rule in RULES if rule.holdout_clears)
RULE_IDS = tuple(rule.ground.value for rule in RULES)


def rule_of(ground: Ground) -> AuditRule:
    """The rule that looks for `ground`."""
    return next(rule for rule in RULES if rule.ground is ground)
