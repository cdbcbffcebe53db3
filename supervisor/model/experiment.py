"""An experiment with its training runs, flags and spending, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sessions.runs.contract import RunEnding, RunProgress
from supervisor.model.ids import ExperimentId, HypothesisId
from supervisor.model.states import ExperimentState, RunKind, RunState, Verdict

# Decided before any outcome was known: these runs, and only these, estimate incumbents. Drift checks were too, but
# they measure the machine: a baseline that followed it would hide that it changed. They count for the noise alone.
DECIDED_BEFOREHAND = frozenset({RunKind.BASELINE, RunKind.FRESH, RunKind.VERIFICATION})
# Made for an experiment's own verdict, one after the other as it needs them.
DECIDING = frozenset({RunKind.CANDIDATE, RunKind.REPLICATION})


@dataclass(frozen=True, slots=True)
class Spending:
    """What steps of thinking cost together."""

    steps: int = 0
    usd: float = 0.0
    is_estimate: bool = False  # some of it is from a price table, not from the client
    largest_usd: float = 0.0  # of one step
    input_tokens: int = 0  # those read from or written to a cache left out
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    unpriced: str = ""  # a model that was used and has no known price

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens


@dataclass(frozen=True, slots=True)
class Run:
    """One training run of an experiment's commit."""

    id: str  # "e0012.3": the third run of e0012
    experiment_id: ExperimentId
    kind: RunKind
    ordinal: int  # 1 for the first; the k-th run of anything uses the k-th seed
    seed: int
    state: RunState
    queued_at: float
    device: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    ending: RunEnding | None = None
    reason: str = ""
    metric: float | None = None
    training_s: float | None = None
    total_s: float | None = None
    cpu_per_wall: float | None = None
    peak_memory_mb: float | None = None
    steps: int | None = None
    tokens: int | None = None
    # The same metric on the sealed holdout; verification runs and baselines only.
    holdout: float | None = None
    starting_cpu_s: float | None = None  # CPU seconds before the first batch, warm-up left out
    evaluating_cpu_s: float | None = None  # CPU seconds after the last batch
    evaluated_bytes: int | None = None
    also: Mapping[str, float] = field(default_factory=dict, hash=False)  # secondary metrics by name
    attempt: int = 1  # 2 when the first one's runner was lost, or what it measured could not count
    disturbed: str = ""  # why what is being measured will not count: it is ended and made again
    voided: tuple[str, ...] = ()  # why earlier attempts did not count
    progress: RunProgress | None = None
    commit: str = ""  # of a canary: the base with `broken` broken; else its experiment's
    broken: str = ""  # of a canary: the entry of `[lab] editable`

    @property
    def is_under_way(self) -> bool:
        """Whether it waits for a device or runs."""
        return self.state is not RunState.FINISHED


@dataclass(frozen=True, slots=True)
class Flag:
    """Something in a diff, or seen while it ran, that looks like gaming. It rejects nothing by itself."""

    rule: str  # the rule's id
    path: str = ""
    line: int | None = None  # in the experiment's version of the file; None: seen while it ran
    excerpt: str = ""  # the line itself
    detail: str = ""  # why it was flagged, in one line


@dataclass(frozen=True, slots=True)
class Experiment:
    """One hypothesis on its way to a verdict."""

    id: ExperimentId  # "e0012"; e0000 is the baseline
    agent: str  # "" for the baseline
    title: str
    state: ExperimentState
    parent_id: ExperimentId | None  # the incumbent it is judged against; None for the baseline
    parent_commit: str
    setting_id: str
    created_at: float
    branch: str = ""
    commit: str | None = None
    hypothesis_id: HypothesisId | None = None
    verdict: Verdict | None = None
    reason: str = ""
    expectation: str = ""
    edit: str = ""  # what its backend needs to make the same change elsewhere (JSON)
    reflection: str = ""
    gain: float | None = None  # over the incumbent, in the metric's unit, positive is better
    gain_low: float | None = None  # interval of the gain
    gain_high: float | None = None
    confidence: float | None = None  # that the gain is above zero, 0 to 1
    ready_at: float | None = None
    decided_at: float | None = None
    spending: Spending = Spending()
    lines_added: int = 0
    lines_removed: int = 0
    runs: tuple[Run, ...] = ()
    flags: tuple[Flag, ...] = ()

    @property
    def is_decided(self) -> bool:
        """Whether it has its verdict."""
        return self.state is ExperimentState.DECIDED

    @property
    def cost_usd(self) -> float:
        """Dollars that its drafts and reflections cost."""
        return self.spending.usd

    @property
    def deciding_runs(self) -> tuple[Run, ...]:
        """Measured runs that its own verdict rests on."""
        return tuple(run for run in self.runs if run.kind in DECIDING and run.metric is not None)

    @property
    def unbiased_runs(self) -> tuple[Run, ...]:
        """Measured runs that were decided beforehand: the honest estimate of this commit."""
        return tuple(run for run in self.runs if run.kind in DECIDED_BEFOREHAND and run.metric is not None)

    @property
    def metric(self) -> float | None:
        """The best honest figure there is: the mean of its unbiased runs, else of its deciding ones."""
        values = [run.metric for run in (self.unbiased_runs or self.deciding_runs) if run.metric is not None]
        return sum(values) / len(values) if values else None

    @property
    def also(self) -> dict[str, float]:
        """The means of its secondary metrics, over the runs that its metric is from."""
        values_by_name: dict[str, list[float]] = {}
        for run in self.unbiased_runs or self.deciding_runs:
            for name, value in run.also.items():
                values_by_name.setdefault(name, []).append(value)
        return {name: sum(values) / len(values) for name, values in values_by_name.items()}
