"""What was found in a repository: the answers an autoresearch.toml needs, and where each was seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from sessions.network import Network
from supervisor.model.states import Clock, Direction


class Kind(StrEnum):
    """What sort of lab a repository is."""

    OURS = "ours"
    UPSTREAM = "karpathy/autoresearch"
    MACOS = "autoresearch-macos"
    MLX = "autoresearch-mlx"
    WIN_RTX = "autoresearch-win-rtx"
    AUTO = "pi-autoresearch"
    TUTORIAL = "tutorial"
    PAIR = "solution and evaluator"
    COMPILED = "compiled"
    BENCHMARKED = "benchmarks"
    SCRIPT = "script"
    TOLD = "told by its program.md"
    ASKED = "asked"  # nothing was recognised: the person said it all


class Fact(StrEnum):
    """One thing that a lab has to say; named as its field of `Finding`; the value is what a person reads."""

    EDITABLE = "may change"
    NEW_FILES = "may be added"
    COMMAND = "command"
    SETUP = "set-up"
    METRIC = "metric"
    PATTERN = "read by"
    FILE = "read from"
    DIRECTION = "better is"
    BUDGET_S = "budget"
    TIMEOUT_S = "time-out"
    GATES = "gates"
    ALSO = "also measured"
    CHECKS = "checks"
    PROTECTED = "the judge"
    CACHES = "caches"
    ENV = "variables"
    SEED_ENV = "seed from"
    LINKS = "linked"
    COPIES = "copied"
    NETWORK = "network"
    GPUS = "GPUs of a run"
    SHARE = "a run gets"
    PYTHON = "Python"
    EXPERIMENTS = "experiments"
    HOURS = "hours"
    USD = "dollars"
    JUNIORS = "at once"


NEEDED = (Fact.EDITABLE, Fact.COMMAND, Fact.METRIC, Fact.DIRECTION)


@dataclass(frozen=True, slots=True)
class FoundGate:
    """A field by which the measuring says whether its result is right."""

    name: str
    equals: str  # what it prints when it is

    def __str__(self) -> str:
        return f"{self.name} = {self.equals}"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Why a fact is taken to be so."""

    fact: Fact
    where: str  # "train.py:64", a file, or "" when it follows from something else
    why: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A lab as far as its files tell; empty values are not known."""

    kind: Kind
    confidence: float  # 0 to 1: of two kinds that fit, the surer one is taken
    editable: tuple[str, ...] = ()
    new_files: tuple[str, ...] = ()  # globs
    command: str = ""
    setup: str = ""
    metric: str = ""
    file: str = ""  # where the command writes its figures
    pattern: str = ""  # a regular expression that reads the metric, where no dialect does
    direction: Direction | None = None
    budget_s: float | None = None
    timeout_s: float | None = None
    clock: Clock | None = None
    gates: tuple[FoundGate, ...] = ()
    also: tuple[str, ...] = ()  # secondary metrics
    checks: str = ""
    protected: tuple[str, ...] = ()  # the files that judge, to be shown; all but the editable ones are
    caches: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    seed_env: str = ""
    links: tuple[str, ...] = ()  # what git ignores and the command reads
    copies: tuple[str, ...] = ()  # what git ignores and the command also writes
    network: Network | None = None
    gpus: int | None = None
    share: str = ""  # of this machine, in words: shown, as it follows from what is found here
    python: str = ""  # what {python} is here, shown as well
    experiments: int | None = None
    hours: float | None = None
    usd: float | None = None
    juniors: int = 2
    evidence: tuple[Provenance, ...] = ()
    guesses: frozenset[Fact] = frozenset()  # has a value, but a person had better confirm it
    cautions: tuple[str, ...] = ()  # what the person should know before the first run

    @property
    def missing(self) -> tuple[Fact, ...]:
        """What no lab can do without, and the files don't tell."""
        return tuple(fact for fact in NEEDED if not self.value(fact))

    def value(self, fact: Fact) -> Any:
        """What is known of the fact, in the field's own type."""
        return getattr(self, fact.name.lower())

    def evidence_for(self, fact: Fact) -> Provenance | None:
        """The latest word on the fact."""
        return next((entry for entry in reversed(self.evidence) if entry.fact is fact), None)

    def with_fact(self, fact: Fact, value: Any, where: str, why: str, *, guess: bool = False) -> Self:
        """This finding, with one thing more known."""
        guesses = self.guesses | {fact} if guess else self.guesses - {fact}
        evidence = (*self.evidence, Provenance(fact, where, why))
        return replace(self, **{fact.name.lower(): value}, evidence=evidence, guesses=guesses)

    def with_caution(self, caution: str) -> Self:
        """This finding, with one thing more to be told."""
        return replace(self, cautions=(*self.cautions, caution))
