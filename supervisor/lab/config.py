"""`autoresearch.toml`: what a lab researches, how it measures, and when it ends.

Every key has a default, documented beside it; a lab of our own layout needs no file at all.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sessions.network import Network
from sessions.runs.contract import Gate
from sessions.runs.metric_formats import MetricFormat
from sessions.runs.metric_pattern import problem_of
from supervisor.audit.rules import RULE_IDS
from supervisor.model.directions import direction_of
from supervisor.model.guarantees import Guarantees
from supervisor.model.metrics import Secondary
from supervisor.model.states import Clock, Direction, Mode
from supervisor.text import matches_glob

CONFIG_FILE = "autoresearch.toml"
CPU_KIND = "cpu"  # the device kind whose budget is CPU time
CPU_BUDGET_S = 20.0
ACCELERATOR_BUDGET_S = 300.0
# A CPU second takes longer than a second on a shared machine; the rest is start-up and evaluation.
TIMEOUT_BUDGETS = {Clock.CPU: 6.0, Clock.WALL: 2.0}
HOPELESS = 0.25  # how often equal code looks as good as a candidate that its first run ends
SHORTEST_TIMEOUT_S = 120.0  # imports, smoke and evaluation take their seconds however small the budget

_BRACED = re.compile(r"\{(\w+)\}")

Seconds = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(min_length=1)]


class TomlTable(BaseModel):
    """One table of the file: frozen, typed strictly, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


def stays_inside(path: str) -> str:
    """The path, where it is one of the lab's. Raises ValueError."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError(f"must be relative to the lab and stay inside it (got {path!r})")
    return path


class LabSection(TomlTable):
    """`[lab]`: what is edited and how it runs."""

    editable: tuple[Name, ...] = Field(("training/train.py",), min_length=1)  # all else is protected
    new_files: tuple[Name, ...] = ()  # globs of files that an edit may add, change and remove; * stops at /
    command: Name = "{python} training/train.py"  # run at the top of a checkout
    setup: str = "{python} prepare.py"  # once, before the first run; "": nothing to set up
    smoke: str = ""  # of a lab without our referee: takes seconds, and exits 0 when the code works
    python: str = ""  # "": the lab's own .venv or uv environment, else the tool's
    seed_env: str = ""  # the variable by which a foreign lab takes its seed
    caches: tuple[Name, ...] = ()  # folders that a run may read; ~ is the home folder
    env: tuple[Name, ...] = ()  # variables passed on to runs, beside a short allow-list
    network: Network = Network.NONE  # what runs reach; where the machine has no sandbox it is open
    links: tuple[Name, ...] = ()  # what git ignores and runs need: read where it lies, never written
    copies: tuple[Name, ...] = ()  # the same, and each run gets a copy of its own
    # What agents are told of this lab beside program.md; None: what a session of another harness left, if any.
    documents: tuple[Name, ...] | None = None
    # What agents are told of a run beside its metric: globs of files that it leaves, or /patterns/ of printed lines;
    # (): the end of its output.
    report: tuple[Name, ...] = ()
    canary: bool = True  # False: launch does not try whether a broken editable file makes the command fail
    share_devices: bool = False  # True: other people's processes on a GPU are shown, not waited for
    budget_s: Seconds | None = None  # training seconds; None: 20 of CPU time on a CPU, else 300
    timeout_s: Seconds | None = None  # wall clock of the whole command; None: see `LabConfig.resolved`
    clock: Clock | None = None  # what the budget counts, "cpu" or "wall"; None ("auto"): as the device has it

    def canvas(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Of these paths the ones that an edit may change, the editable ones first."""
        own = {path for path in paths if path not in self.editable and self._may_be_new(path)}
        return (*self.editable, *sorted(own))

    def _may_be_new(self, path: str) -> bool:
        return any(matches_glob(path, glob) for glob in self.new_files)

    @field_validator("editable", "new_files", "links", "copies", "documents")
    @classmethod
    def _stays_inside(cls, paths: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if paths is None else tuple(map(stays_inside, paths))

    @field_validator("report")
    @classmethod
    def _patterns_are_whole(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            try:
                re.compile(entry[1:-1] if is_line_pattern(entry) else "")
            except re.error as error:
                raise ValueError(f"{entry} is no pattern: {error}") from None
            if not is_line_pattern(entry) and ".." in PurePosixPath(entry).parts:
                raise ValueError(f"must stay inside the lab (got {entry!r})")
        return entries

    @field_validator("command", "setup", "smoke")
    @classmethod
    def _knows_its_placeholders(cls, command: str) -> str:
        try:
            shlex.split(command)
        except ValueError as error:
            raise ValueError(f"{str(error).lower()} in {command!r}") from None
        # Braces are awk's and the shell's as well; only what was meant to be {python} is refused.
        slip = difflib.get_close_matches("python", _BRACED.findall(command), n=1, cutoff=0.7)
        if slip and slip[0] != "python":
            raise ValueError(f"knows {{python}} only (got {{{slip[0]}}})")
        return command

    @field_validator("clock", mode="before")
    @classmethod
    def _auto_is_none(cls, clock: object) -> object:
        return None if clock == "auto" else clock


class MetricTable(TomlTable):
    """A metric by its name, whose direction its name may tell."""

    name: Name
    direction: Direction = Direction.LOWER  # default: as the name tells, else lower

    @model_validator(mode="after")
    def _direction_by_name(self) -> Self:
        if "direction" not in self.model_fields_set and (named := direction_of(self.name)).sure:
            object.__setattr__(self, "direction", named.direction)  # it is frozen once it is made
            self.model_fields_set.add("direction")
        return self


class SecondaryMetric(MetricTable):
    """`[[metric.also]]`: a figure that is kept and shown; with a limit it has to be printed, and rejects."""

    unit: str = ""  # for people: "ms"
    min: float | None = None
    max: float | None = None
    worse_pct: float | None = Field(None, ge=0)  # at most so much worse than the campaign's baseline


class GateSection(MetricTable):
    """`[[metric.gate]]`: what a printed field must say, or the experiment is rejected; a missing one says no."""

    equals: str | None = None  # a word, true or false, or a number; in every line that says the field
    min: float | None = None  # of the last such line, as `max` and `worse_pct` are
    max: float | None = None
    worse_pct: float | None = Field(None, ge=0)
    direction: Direction = (
        Direction.LOWER
    )  # which way `worse_pct` looks; default: as the name tells, else lower

    @field_validator("equals", mode="before")
    @classmethod
    def _as_printed(cls, value: object) -> object:
        if isinstance(value, bool):
            return "true" if value else "false"
        return f"{value}" if isinstance(value, int | float) else value


class MetricSection(MetricTable):
    """`[metric]`: what is measured, and which way it improves."""

    name: Name = "val_bpb"
    unit: str = ""  # for people: "ms"
    # How a lab without a referee prints it: "auto" takes any dialect of sessions/runs/metric_formats.py.
    format: MetricFormat = MetricFormat.AUTO
    pattern: str = (
        ""  # instead: a regular expression for one line, whose one group is the number; the last line counts
    )
    file: str = (
        ""  # of the checkout, which the command writes: JSON, JSON lines or text as if it were printed
    )
    also: tuple[SecondaryMetric, ...] = ()
    gate: tuple[GateSection, ...] = ()

    @field_validator("pattern")
    @classmethod
    def _can_be_read_by(cls, pattern: str) -> str:
        if pattern and (problem := problem_of(pattern)):
            raise ValueError(problem)
        return pattern

    @field_validator("file")
    @classmethod
    def _lies_inside(cls, path: str) -> str:
        return stays_inside(path)

    @property
    def gates(self) -> tuple[Gate, ...]:
        """What a run's printed fields must say; what is held against the baseline has to be printed, at the least."""
        own = (Gate(one.name, one.equals, one.min, one.max) for one in self.gate)
        limited = (one for one in self.also if (one.min, one.max, one.worse_pct) != (None, None, None))
        return (*own, *(Gate(one.name, None, one.min, one.max) for one in limited))

    @property
    def secondary(self) -> tuple[Secondary, ...]:
        """The figures that are kept beside the metric: those of `also`, and those that a gate compares."""
        named = {one.name for one in self.also} | {self.name}
        shown = tuple(Secondary(one.name, one.direction, one.unit, one.worse_pct) for one in self.also)
        compared = (one for one in self.gate if one.worse_pct is not None and one.name not in named)
        return (*shown, *(Secondary(one.name, one.direction, "", one.worse_pct) for one in compared))


class ChecksSection(TomlTable):
    """`[checks]`: what an edit must pass before it may run."""

    command: str = ""  # non-zero: the experiment is rejected; "": no check
    timeout_s: Seconds = 300.0


class AuditSection(TomlTable):
    """`[audit]`: what becomes of diffs that look like gaming; by default they are flagged and must be verified."""

    hard: tuple[str, ...] = ()  # rules that refuse
    allow: tuple[str, ...] = ()  # rules that say nothing

    @field_validator("hard", "allow")
    @classmethod
    def _knows_its_rules(cls, ids: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in ids if name not in RULE_IDS]
        if unknown:
            raise ValueError(f"there is no rule {unknown[0]!r}; there are {', '.join(RULE_IDS)}")
        return ids


class AgentSpec(TomlTable):
    """What thinks for a role."""

    backend: Name = "offline"
    model: str = ""  # "": the backend's own default
    mode: Mode = Mode.HEADLESS  # "interactive": its pane runs the client's own interface; juniors only
    auth: Literal["", "own", "inherit"] = ""  # "": own with a key in the environment, else the client's login
    command: str = ""  # for backend = "command": reads a brief on stdin and edits files

    @classmethod
    def of_words(cls, words: str) -> Self:
        """From "claude" or "claude:some-model", as the command line takes it."""
        backend, _, model = words.strip().partition(":")
        return cls(backend=backend, model=model)


class DevicesSection(TomlTable):
    """`[devices]`: what one run gets of the machine, and how many run at once."""

    cores: int | None = Field(None, ge=1)  # None: one, of a lab with our referee; all, of any other
    gpus: int = Field(1, ge=1)  # of torchrun and its like; held together, given back together
    runs: int | None = Field(None, ge=1)  # at once; None: all there is room for, of single cores two


class AgentsSection(TomlTable):
    """`[agents]`: who works here."""

    juniors: int = Field(2, ge=1, le=64)  # may outnumber the devices
    chief: AgentSpec = AgentSpec()
    junior: tuple[AgentSpec, ...] = Field(
        (AgentSpec(),), min_length=1
    )  # one for all, or a list that they share
    drafts_ahead: int = Field(1, ge=0, le=8)  # edits a junior may draft while its last one trains
    repairs: int = Field(
        1, ge=0, le=8
    )  # edits that may mend one that crashed in its code, before the verdict
    approve: bool = False  # hypotheses wait for the person's yes
    folder: str = ""  # of agents of your own, a TOML file each; "": .autoresearch/agents

    @field_validator("chief")
    @classmethod
    def _plans_by_itself(cls, chief: AgentSpec) -> AgentSpec:
        if chief.mode is Mode.INTERACTIVE:
            raise ValueError("the chief plans when the lab asks it to; only juniors can be interactive")
        return chief

    @field_validator("junior", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list | tuple) else (value,)

    def spec_of_junior(self, number: int) -> AgentSpec:
        """What thinks for the junior of that number, from 1."""
        return self.junior[(number - 1) % len(self.junior)]

    def spec_like(self, backend: str, *, chief: bool) -> AgentSpec:
        """What the file says of that backend, first for this role; chosen on the command line it says nothing."""
        own, others = ((self.chief,), self.junior) if chief else (self.junior, (self.chief,))
        return next((s for s in (*own, *others) if s.backend == backend), AgentSpec(backend=backend))


class LimitsSection(TomlTable):
    """`[limits]`: any one of them ends the run; None: no such limit."""

    experiments: int | None = Field(None, gt=0)  # verdicts other than baselines
    hours: float | None = Field(None, gt=0)
    usd: float | None = Field(None, gt=0)
    usd_each: float | None = Field(None, gt=0)  # what one agent may cost; it stops, the others go on


class DecideSection(TomlTable):
    """`[decide]`: how sure a keep has to be."""

    false_keep_rate: float = Field(0.01, gt=0, lt=HOPELESS)  # share of identical candidates that may be kept
    max_runs: int = Field(
        5, ge=1, le=20
    )  # seeds that one candidate may be given; on average it takes about 1.4
    noise_floor: float = Field(0.0, ge=0)  # smallest SD of a run that is believed, in the metric's unit
    drift_every: int = Field(20, ge=0)  # experiments between two drift checks of the machine; 0: never
    repeat_share: float = Field(0.5, ge=0, le=1)  # of the runs that may be repeats before candidates go first


@dataclass(frozen=True, slots=True)
class Budget:
    """What one training run is given."""

    seconds: float
    clock: Clock
    timeout_s: float  # wall clock of the whole command


class LabConfig(TomlTable):
    """The whole file."""

    lab: LabSection = LabSection()
    metric: MetricSection = MetricSection()
    checks: ChecksSection = ChecksSection()
    audit: AuditSection = AuditSection()
    devices: DevicesSection = DevicesSection()
    agents: AgentsSection = AgentsSection()
    limits: LimitsSection = LimitsSection()
    decide: DecideSection = DecideSection()

    def resolved(self, device_kind: str) -> Budget:
        """The budget on this kind of device: as the file says, else 20 s of CPU time or 300 s."""
        on_cpu = device_kind == CPU_KIND
        clock = self.lab.clock or (Clock.CPU if on_cpu else Clock.WALL)
        seconds = self.lab.budget_s or (CPU_BUDGET_S if on_cpu else ACCELERATOR_BUDGET_S)
        return Budget(seconds, clock, self.timeout_for(seconds, clock))

    def timeout_for(self, budget_s: float, clock: Clock) -> float:
        """Wall clock, in seconds, after which a run on this budget is ended."""
        return self.lab.timeout_s or max(TIMEOUT_BUDGETS[clock] * budget_s, SHORTEST_TIMEOUT_S)

    def over(self, base: LabConfig) -> Self:
        """This configuration where it says something, `base` where it is silent."""
        merged = {}
        for name in type(self).model_fields:
            mine, below = getattr(self, name), getattr(base, name)
            own_values = {key: getattr(mine, key) for key in mine.model_fields_set}
            merged[name] = below.model_copy(update=own_values)
        return self.model_copy(update=merged)


def is_line_pattern(entry: str) -> bool:
    """Whether an entry of `[lab] report` is a pattern of printed lines, written between slashes; else it is a glob."""
    return len(entry) > 2 and entry.startswith("/") and entry.endswith("/")


def default_config() -> LabConfig:
    """A lab of our own layout: program.md, prepare.py, training/train.py."""
    return LabConfig()


def karpathy_config() -> LabConfig:
    """An unchanged clone of karpathy/autoresearch: train.py, prepare.py and program.md at the root."""
    return LabConfig(
        lab=LabSection(
            editable=("train.py",),
            command="uv run train.py",
            setup="uv run prepare.py",
            caches=("~/.cache/autoresearch",),
            budget_s=ACCELERATOR_BUDGET_S,
            clock=Clock.WALL,  # his prepare.py counts wall seconds, whatever the device
        )
    )


def custom_config(*, prepared: bool) -> LabConfig:
    """A lab of no known layout: it has the set-up that its file names, or `prepared`, a prepare.py of its own."""
    return LabConfig() if prepared else LabConfig(lab=LabSection(setup=""))


def guarantees_of(config: LabConfig, *, has_referee: bool) -> Guarantees:
    """What the results of a lab with this configuration can be trusted for."""
    return Guarantees(
        referee=has_referee,
        seeds=has_referee or bool(config.lab.seed_env),
        smoke=has_referee or bool(config.lab.smoke),
        holdout=has_referee,
        checks=bool(config.checks.command),
    )


def read_config(path: Path, base: LabConfig | None = None) -> LabConfig:
    """The configuration in `path`, with `base` (our layout's) where it is silent. Raises ConfigError."""
    from supervisor.lab.config_errors import parse_toml, validated

    return validated(LabConfig, path, *parse_toml(path)).over(base or default_config())
