"""What goes into the store, before it has an id there."""

from __future__ import annotations

from dataclasses import dataclass

from sessions.devices.gpu import GpuReading
from supervisor.model.ids import ExperimentId
from supervisor.model.snapshot import Limits, Setting
from supervisor.model.states import Direction, Verdict


@dataclass(frozen=True, slots=True)
class Draft:
    """What an agent hands over when its edit is committed."""

    commit: str
    title: str
    expectation: str
    edit: str
    source_hash: str
    lines_added: int
    lines_removed: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and the numbers that it rests on."""

    verdict: Verdict
    reason: str
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Canary:
    """The base with what an entry of `[lab] editable` names broken on purpose."""

    broken: str
    commit: str


@dataclass(frozen=True, slots=True)
class NewCampaign:
    """What a launch decides once for the whole campaign."""

    tag: str
    base_commit: str
    metric: str
    direction: Direction
    setting: Setting
    limits: Limits
    drafts_ahead: int
    approve: bool
    seed: int
    baseline_runs: int
    base_branch: str = ""
    canaries: tuple[Canary, ...] = ()
    asked: Limits | None = None


@dataclass(frozen=True, slots=True)
class ThinkingStep:
    """One call of a backend, from its start to its end."""

    agent: str
    kind: str  # "plan", "edit" or "reflect"
    experiment_id: ExperimentId | None  # None: a plan
    backend: str
    model: str
    started_at: float
    ended_at: float
    ending: str  # an EditResult, "done", "parked" or "failed"
    detail: str = ""
    usd: float = 0.0
    usd_is_estimate: bool = False  # from the price table, not from the client
    input_tokens: int = 0  # those read from or written to a cache left out
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True)
class DeviceSight:
    """What is to be known of a device from now on."""

    device_id: str
    problem: str = ""
    neighbour: str = ""
    avoided: bool = False
    reading: GpuReading | None = None
    disturbed_run: str | None = None  # the run that holds it and whose result cannot count
    disturbance: str = ""  # why


@dataclass(frozen=True, slots=True)
class RawLine:
    """One experiment as its harness wrote it."""

    number: int  # of the line in the file, from 1
    commit: str
    metric: float | None  # None: it has no score, whatever was printed
    memory_gb: float | None
    status: str  # keep, discard, crash
    description: str


@dataclass(frozen=True, slots=True)
class RawHistory:
    """A whole file, in its order."""

    metric_name: str
    direction: Direction | None  # None: nothing tells
    lines: tuple[RawLine, ...]
    skipped: int  # lines that say nothing usable
