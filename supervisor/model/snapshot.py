"""`LabSnapshot`: the whole lab at one moment, frozen. Everything that shows or decides starts from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sessions.devices.gpu import GpuReading
from supervisor.model.base import Base
from supervisor.model.experiment import Experiment, Run, Spending
from supervisor.model.guarantees import Guarantees
from supervisor.model.ids import ExperimentId, HypothesisId
from supervisor.model.metrics import Secondary
from supervisor.model.promotion import Promotion
from supervisor.model.states import (
    AgentState,
    CampaignState,
    Clock,
    Direction,
    HypothesisState,
    Mode,
    Role,
    RunState,
    Wanted,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting:
    """What makes scores comparable; scores of two settings are never ranked together."""

    id: str  # short hash of the rest
    referee_hash: str
    data_fingerprint: str
    metric: str
    budget_s: float
    clock: Clock
    device_kind: str
    # The rest of it, by key: what the configuration says, the interpreter, digests of variables. {}: not written down.
    details: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """Any one of them ends the campaign; None: no such limit."""

    experiments: int | None = None  # verdicts other than baselines
    hours: float | None = None
    usd: float | None = None
    usd_each: float | None = None  # of one agent; it stops, the others go on


@dataclass(frozen=True, slots=True)
class Campaign:
    """One run of the lab, named by its tag."""

    tag: str
    state: CampaignState
    wanted: Wanted
    reason: str  # why it is not running, "" while it is
    base_commit: str
    metric: str
    direction: Direction
    setting: Setting
    limits: Limits
    started_at: float
    running_s: float  # up to now, pauses left out
    drafts_ahead: int
    approve: bool  # hypotheses wait for the person's yes
    base_branch: str = ""  # see `Base`
    asked: Limits = Limits()  # of the last launch, before what was used already was added
    seen_commit: str = ""  # what was checked out when the person last said that this campaign is to go on

    @property
    def base(self) -> Base:
        """Where it started from, and where what it finds goes back to."""
        return Base(self.base_branch, self.base_commit)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One idea, from its author's answer to its test. What follows `id` is the plan's to say, once it is in there."""

    title: str
    rationale: str = ""
    change: str = ""  # in words
    expected_gain: float | None = None  # in the metric's unit, positive is better
    category: str = ""
    edit: str = ""  # what the author's backend needs to apply it (JSON), "" for words only
    parent_id: ExperimentId | None = None  # the experiment it wants to build on; None: the taker's incumbent
    risk: str = ""  # what could go wrong, in words
    builds_on: tuple[ExperimentId, ...] = ()  # the experiments that speak for it, by id
    falsified_by: str = ""  # the outcome that would show that it is wrong
    independent: bool | None = None  # of the others of its plan; None: not said
    id: HypothesisId = ""  # "h-07"
    state: HypothesisState = HypothesisState.PROPOSED
    author: str = ""  # an agent's name, or "person"
    position: float = 0.0  # the smallest goes first
    created_at: float = 0.0
    claimed_by: str | None = None
    experiment_id: str | None = None


@dataclass(frozen=True, slots=True)
class Agent:
    """One running role."""

    name: str
    role: Role
    backend: str
    state: AgentState
    state_since: float
    wanted: Wanted
    doing: str = ""  # one line for people: "planning h-12…h-15"
    waiting_for: str = ""  # what it needs of the person, "" when nothing
    branch: str = ""  # juniors
    incumbent_id: ExperimentId | None = None  # juniors: the experiment they build on
    heartbeat_at: float | None = None
    restarts: int = 0  # deaths in a row
    model: str = ""  # "": the backend's own default
    parked_until: float | None = None  # epoch seconds; a limit of its model
    mode: Mode = Mode.HEADLESS
    spending: Spending = Spending()

    @property
    def cost_usd(self) -> float:
        """Dollars so far."""
        return self.spending.usd


@dataclass(frozen=True, slots=True)
class Device:
    """Something a training run can be given, whole."""

    id: str  # "cpu:0", "cuda:0", "cuda:0.1" (a MIG slice), "mps"
    kind: str  # "cpu", or the accelerator's model: part of the setting
    label: str  # for people: "core 0", "NVIDIA H200 141 GB"
    run_id: str | None = None  # the lease
    since: float | None = None  # when its state began
    problem: str = ""  # why it is out of use
    uuid: str = ""  # of an accelerator: what it is known by from launch to launch
    neighbour: str = ""  # who else computes on it, in words
    avoided: bool = False  # no run is started there while the neighbour stays
    reading: GpuReading | None = None  # the last of its sensors, a few seconds old


@dataclass(frozen=True, slots=True)
class Noise:
    """The spread of one training run's metric when nothing changes but the seed."""

    sd: float
    degrees_of_freedom: float
    runs: int  # that it rests on; 0: only the prior


@dataclass(frozen=True, slots=True)
class Note:
    """A shared Markdown finding."""

    id: str  # its file name without .md
    title: str
    author: str
    created_at: float
    path: Path
    experiment_id: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, in one line."""

    id: int
    at: float
    agent: str  # "" for the lab itself
    text: str


@dataclass(frozen=True, slots=True)
class Drift:
    """The machine has changed: the baseline's code no longer measures what it did."""

    change: float  # of the metric, in its unit; positive: it is higher now
    p: float  # how often such a change is nothing but noise
    since_run: str  # the first drift check that shows it
    since: float  # when that one began
    runs: tuple[str, ...]  # drift checks since then


@dataclass(frozen=True, slots=True)
class ImportedLine:
    """One experiment of another harness: another setting, ranked with nothing of ours."""

    source: str  # the file it came from
    commit: str
    metric_name: str
    metric: float | None  # None: it has no score
    memory_gb: float | None
    status: str  # keep, discard, crash
    description: str


@dataclass(frozen=True, slots=True)
class LabSnapshot:
    """The whole lab at one moment."""

    root: Path
    taken_at: float
    version: int  # rises with every change in the store
    campaign: Campaign | None  # None before the first launch
    agents: tuple[Agent, ...] = ()
    devices: tuple[Device, ...] = ()
    devices_per_run: int = 1
    hypotheses: tuple[Hypothesis, ...] = ()  # by position
    experiments: tuple[Experiment, ...] = ()  # by id
    notes: tuple[Note, ...] = ()  # newest first
    events: tuple[Event, ...] = ()  # the last ones, oldest first
    noise: Noise | None = None
    drift: Drift | None = None
    champion_id: str | None = None  # best verified commit; the baseline until there is a better one
    baseline_id: str | None = None
    supervisor_alive: bool = False
    trouble: str = ""  # what keeps the lab from going on, for the person to mend
    kept: int = 0
    counted: int = 0  # verdicts that count against the limit
    experiments_per_hour: float = 0.0
    promotions: tuple[Promotion, ...] = ()  # oldest first
    imported: tuple[ImportedLine, ...] = ()  # by other harnesses, as their files have it
    unit: str = ""  # of the metric, for people
    secondary: tuple[Secondary, ...] = ()  # what is kept beside the metric
    guarantees: Guarantees | None = None  # what the scores can be trusted for
    canaries: tuple[Run, ...] = ()  # whether the edit is what runs: see `policy/canary.py`
    trials: tuple[Experiment, ...] = ()  # what promotions measure: never ranked, judged or built on
    _results: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, compute: Callable[[LabSnapshot], T]) -> T:
        """What `compute` makes of this snapshot, worked out at the first call only."""
        if compute not in self._results:
            self._results[compute] = compute(self)
        result: T = self._results[compute]
        return result

    def experiment(self, experiment_id: str | None) -> Experiment | None:
        """The experiment of that id, if there is one; those of promotions are found too."""
        return None if experiment_id is None else self.once(_by_id).get(experiment_id)

    def agent(self, name: str) -> Agent | None:
        """The agent of that name, if there is one."""
        return next((agent for agent in self.agents if agent.name == name), None)

    def run(self, run_id: str | None) -> Run | None:
        """The run of that id, if there is one."""
        if run_id is None:
            return None
        experiment = self.experiment(run_id.partition(".")[0])
        runs = (*(experiment.runs if experiment else ()), *self.canaries)
        return next((run for run in runs if run.id == run_id), None)

    def running_runs(self) -> tuple[Run, ...]:
        """Every run that holds a device, those of promotions included."""
        everything = (*self.experiments, *self.trials)
        runs = (*self.canaries, *(run for e in everything for run in e.runs))
        return tuple(run for run in runs if run.state is RunState.RUNNING)


def _by_id(snapshot: LabSnapshot) -> dict[str, Experiment]:
    return {experiment.id: experiment for experiment in (*snapshot.experiments, *snapshot.trials)}
