"""The contract between whoever orders a training run and the runner that makes it."""

from __future__ import annotations

import dataclasses
import functools
import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from sessions.network import Network
from sessions.runs.metric_formats import MetricFormat

SPEC_FILE = "spec.json"
OUTCOME_FILE = "outcome.json"
PROGRESS_FILE = "progress.json"
LOG_FILE = "run.log"
LOCK_FILE = "runner.lock"
CHANNEL_VARIABLE = "AUTORESEARCH_CHANNEL"  # descriptor of the referee's end of the socket pair


class RunEnding(StrEnum):
    """How a training run ended."""

    MEASURED = "measured"
    CRASHED = "crashed"  # exception, non-zero exit, diverged, NaN, no result, two results that differ
    OUT_OF_MEMORY = "out-of-memory"
    TIMED_OUT = "timed-out"
    REJECTED = "rejected"  # a probe of the referee or a gate said no
    ENDED = "ended"  # the runner was told to stop; says nothing about the code


class RunPhase(StrEnum):
    """What a run is doing now."""

    STARTING = "starting"
    SMOKE = "smoke"
    WARM_UP = "warm-up"
    TRAINING = "training"
    EVALUATING = "evaluating"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a run must show if it is the run that was asked for; None: not known yet, nothing is held against it."""

    data_fingerprint: str | None = None
    evaluated_bytes: int | None = None
    starting_cpu_s: float | None = None  # what the baseline took before its first batch
    evaluating_cpu_s: float | None = None  # what the baseline took after its last batch


@dataclass(frozen=True, slots=True)
class Gate:
    """One field, and what it must say; without a condition it only has to be printed."""

    name: str
    equals: str | None = None  # in every line that says the field
    least: float | None = None  # these two in the last one
    most: float | None = None

    @property
    def condition(self) -> str:
        """What it must say, in words."""
        parts = (
            f"be {self.equals}" if self.equals is not None else "",
            f"be at least {self.least:g}" if self.least is not None else "",
            f"be at most {self.most:g}" if self.most is not None else "",
        )
        return " and ".join(part for part in parts if part) or "be printed"


@dataclass(frozen=True, slots=True)
class RunSpec:
    """Everything a runner needs; written to `directory / spec.json` before it starts."""

    run_id: str
    directory: Path  # run.log, outcome.json, … of this attempt
    cwd: Path  # the bench
    argv: tuple[str, ...]
    env: dict[str, str]  # the whole environment; nothing is inherited
    seed: int
    budget_s: float
    clock: str  # "cpu" or "wall"
    device: str  # "cpu:0", "cuda:0", "mps"
    timeout_s: float  # wall clock of the whole run, smoke included
    metric: str = "val_bpb"
    smoke: bool = True  # a run of seconds first, inside the same lease
    smoke_argv: tuple[str, ...] = ()  # of a lab without a referee; (): it has none. With one, the same argv
    has_referee: bool = True  # False: what the command prints serves, see `metric_format`
    metric_format: MetricFormat = MetricFormat.AUTO
    metric_pattern: str = ""  # a regular expression whose one group is the metric; "": the dialects are read
    metric_file: str = ""  # of the bench, where the command writes its figures; "": it only prints
    also: tuple[str, ...] = ()  # secondary metrics that may be printed
    gates: tuple[Gate, ...] = ()  # what printed fields must say for the score to count
    cores: tuple[int, ...] = ()  # pin the process tree to these CPU cores; (): to none
    given: tuple[
        str, ...
    ] = ()  # variables of whoever starts the runner, handed on: in no file, for some are secret
    secret_files: tuple[
        Path, ...
    ] = ()  # .env files that the run may read: what they hold is kept out of its log
    device_files: tuple[Path, ...] = ()  # of its GPUs; a sandbox then shows it no other GPU's
    marker: str = ""  # the lab's mark, see MARKER_VARIABLE; "": the run's folder, as unique on the machine
    readable: tuple[Path, ...] = ()  # what a sandbox lets the run read besides the system
    caches: tuple[Path, ...] = ()  # of these, those in the person's home are found in the run's home too
    sandbox: bool = True  # no other user files, and no more network than this, where the system offers it
    network: Network = Network.NONE
    referee: Path | None = None  # the referee's copy: its files are hashed before and after
    protected: tuple[Path, ...] = ()  # files of the bench that may not change while the rest of it may
    hidden: tuple[Path, ...] = ()  # folders that no run may look into: the lab's state, above all
    holdout: Path | None = (
        None  # tokens that are streamed to the referee once training has ended; never readable
    )
    expected: Expected = Expected()


@dataclass(frozen=True, slots=True)
class RunProgress:
    """The latest word of a running run."""

    phase: RunPhase
    fraction: float  # of the training budget, 0 to 1
    elapsed_s: float  # of the budget
    step: int = 0
    loss: float | None = None
    tokens_per_s: float | None = None
    at: float = 0.0  # epoch seconds


PEAK_VRAM = "peak_vram_mb"  # what upstream's block and the referee's report call it


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Something the runner saw that looks like gaming. It ends nothing: see the `flags` of an experiment."""

    rule: str  # the rule's id, as "compute-before-the-clock"
    detail: str  # one line with the figures


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What the runner saw; its own timestamps and meters, beside the referee's report."""

    run_id: str
    ending: RunEnding
    reason: str  # one line, "" when measured
    metric: float | None
    started_at: float
    finished_at: float
    training_s: float  # of the budget's clock, between the first and the last batch
    total_s: float  # wall clock of the whole run
    cpu_s: float  # of the whole process tree
    cpu_per_wall: float | None  # while training; below 0.95 the machine was shared
    peak_memory_mb: float  # of the GPU, as the run says, where it used one; else of the process tree
    steps: int | None = None
    tokens: int | None = None
    parameters: int | None = None
    exit_code: int | None = None
    sandbox: str = "none"  # what really confined it: "bwrap", "landlock", "unshare", "none"
    holdout: float | None = None  # the metric on the sealed holdout, where it was asked for
    evaluated_bytes: int | None = None
    starting_cpu_s: float | None = None  # before the first batch, warm-up left out
    evaluating_cpu_s: float | None = None  # after the last batch
    suspicions: tuple[Suspicion, ...] = ()
    report: dict[str, Any] = dataclasses.field(default_factory=dict)  # the referee's, as sent
    also: dict[str, float] = dataclasses.field(default_factory=dict)  # secondary metrics that were printed


_Record = TypeVar("_Record", RunSpec, RunOutcome, RunProgress)


def to_json(record: RunSpec | RunOutcome | RunProgress) -> str:
    """The record as one JSON object."""
    return json.dumps(dataclasses.asdict(record), default=str, indent=1)


def read_spec(directory: Path) -> RunSpec:
    """The spec of the run in `directory`. Raises an OSError, ValueError, TypeError or KeyError when it is not whole."""
    return _read(directory / SPEC_FILE, RunSpec)


def read_outcome(directory: Path) -> RunOutcome | None:
    """The outcome of the run in `directory`, or None while it has none."""
    try:
        return _read(directory / OUTCOME_FILE, RunOutcome)
    except FileNotFoundError:
        return None


def read_progress(directory: Path) -> RunProgress | None:
    """The latest progress of the run in `directory`, or None before the first."""
    try:
        return _read(directory / PROGRESS_FILE, RunProgress)
    except FileNotFoundError:
        return None


def _read(path: Path, record: type[_Record]) -> _Record:
    value: _Record = from_json(json.loads(path.read_text(encoding="utf-8")), record)
    return value


def from_json(value: Any, kind: Any) -> Any:
    """A value of JSON as what its field is declared to be; `kind` may be a dataclass, and be made of others."""
    inner = get_args(kind)
    if value is None or kind is Any:
        return value
    if isinstance(kind, UnionType):
        return from_json(value, inner[0])
    if get_origin(kind) is tuple:
        return tuple(from_json(item, inner[0]) for item in value)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        fields = _fields_of(kind)
        return kind(**{name: from_json(item, fields[name]) for name, item in value.items()})
    return kind(value) if isinstance(kind, type) and issubclass(kind, (Path, StrEnum)) else value


_fields_of = functools.cache(get_type_hints)
