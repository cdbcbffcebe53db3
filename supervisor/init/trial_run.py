"""Measuring an unchanged repository a few times before it is a lab, through the lab's own runner.

Runs happen in a clone in a temporary folder: the person's checkout, branches and configuration stay as they are.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sessions.files import read_tail, remove_folder
from sessions.git.command import ask_git
from sessions.git.repository import Repository
from sessions.runs.contract import LOG_FILE, RunEnding, RunOutcome, RunSpec, read_outcome
from sessions.runs.metric_pattern import PatternReader
from sessions.runs.start import end_runner, runner_alive, start_runner
from supervisor.campaign.canaries import broken, entries_of
from supervisor.campaign.set_up import set_up
from supervisor.errors import LabError
from supervisor.lab.active_environment import settle_on_active
from supervisor.lab.config import LabConfig
from supervisor.lab.hardware import hardware_for
from supervisor.lab.ignored_files import SET_UP_BENCH, lay_out
from supervisor.lab.paths import Lab, Layout, has_referee, with_files
from supervisor.lab.programs import cli_path
from supervisor.lab.referee_copy import referee_of, write_referee
from supervisor.lab.uv_environment import make_environment, uses_uv
from supervisor.policy.canary import is_same, told
from supervisor.recognition.finding import Finding
from supervisor.recognition.printed import Output, PrintedValue, read_output
from supervisor.runs.hints import with_hint
from supervisor.runs.spec import DevicePlace, spec_on_bench

RUNS = 3
_TAIL_BYTES = 2**18
_LOOK_EVERY_S = 0.1
_UNKNOWN_METRIC = "score"  # asked of a run while nobody knows what it prints

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of the unchanged code."""

    outcome: RunOutcome
    output: Output  # every number under a name, and a bare last one
    tail: str  # the end of its output

    @property
    def printed(self) -> tuple[PrintedValue, ...]:
        """The numbers, the plainest statement first."""
        return self.output.values

    @property
    def exited_well(self) -> bool:
        """Whether the command itself succeeded, also when nobody knew yet what its number is called."""
        return self.outcome.exit_code == 0 and self.outcome.ending in (RunEnding.MEASURED, RunEnding.CRASHED)

    def value_of(self, metric: str, pattern: str = "") -> float | None:
        """The metric: as the lab's runner read it, else as it stands in the output; None when the run failed."""
        if self.outcome.ending is RunEnding.MEASURED and self.outcome.metric is not None:
            return self.outcome.metric
        if not self.exited_well:
            return None
        if pattern:
            reader = PatternReader(pattern)
            reader.read(self.output.lines)
            return reader.value
        return next((entry.value for entry in self.printed if entry.name in (metric, "")), None)


@dataclass(frozen=True, slots=True)
class Spread:
    """What the unchanged code measures, and how steadily."""

    values: tuple[float, ...]

    @property
    def runs(self) -> int:
        """How many."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """In the metric's unit."""
        return statistics.fmean(self.values)

    @property
    def sd(self) -> float:
        """Of one run, in the metric's unit; 0 when all are the same."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0

    @property
    def relative(self) -> float | None:
        """The SD as a share of the mean; None where the mean is zero."""
        return self.sd / abs(self.mean) if self.mean else None


class Trial:
    """A clone of the repository in which the command can be run."""

    def __init__(self, lab: Lab, clone: Path, referee: Path) -> None:
        self._lab, self._clone, self._referee = lab, clone, referee
        self._made = 0

    @property
    def clone(self) -> Path:
        """The checkout in which the command runs."""
        return self._clone

    @property
    def needs_set_up(self) -> bool:
        """Whether there is anything to prepare."""
        return bool(self._lab.config.lab.setup) or uses_uv(self._lab)

    def prepare(self, tell: Tell) -> None:
        """Make uv's environment and run the set-up command, in a clone beside, as a launch does. Raises LaunchError."""
        checkout = self._lab.benches_dir / SET_UP_BENCH
        if not checkout.is_dir():
            ask_git(self._clone, "clone", "--quiet", "--local", str(self._clone), str(checkout))
            ask_git(checkout, "checkout", "--quiet", "--detach", Repository(self._clone).rev_parse("HEAD"))
        make_environment(self._lab, checkout / self._lab.folder, tell)
        set_up(self._lab, checkout, tell)

    def canary(self, finding: Finding, before: Sequence[float], tell: Tell) -> str:
        """Break what may be edited, an entry after the other, and run: why edits would change nothing, "" when they do.

        `before` is what the unchanged code measured.
        """
        for entry, paths in entries_of(self._lab.config).items() if self._lab.config.lab.canary else ():
            run = self.run(finding.metric, finding.pattern, tell, paths)
            value = run.value_of(finding.metric, finding.pattern)
            if value is not None and is_same(value, before):
                return told(entry, value, statistics.fmean(before))
        return ""

    def run(self, metric: str, pattern: str, tell: Tell, to_break: Sequence[str] = ()) -> Measured:
        """One run, as a campaign would make it; its output is told as it comes. Ctrl-C ends its whole tree.

        `metric` may be "" while it is not known. `to_break` names editable files that are broken on purpose first.
        """
        self._made += 1
        ask_git(self._clone, "checkout", "--quiet", "--force", "HEAD")
        ask_git(self._clone, "clean", "--quiet", "-ffdx")
        commit = Repository(self._clone).rev_parse("HEAD")
        lay_out(self._lab, Repository(self._lab.root), self._clone, commit)
        for file in (self._clone / path for path in to_break):
            file.write_bytes(broken(file.name, file.read_bytes()))
        spec = replace(self._spec(), metric=metric or _UNKNOWN_METRIC, metric_pattern=pattern)
        start_runner(spec, cli_path())
        try:
            follow(spec.directory, tell)
        except BaseException:
            end_runner(spec.directory)
            raise
        outcome = read_outcome(spec.directory)
        if outcome is None:
            raise LabError(
                "the trial run ended without a result; `autoresearch-tui doctor` looks at this machine"
            )
        outcome = with_hint(self._lab, spec.directory, self._clone, outcome, unchanged=True)
        tail = read_tail(spec.directory / LOG_FILE, _TAIL_BYTES)
        return Measured(outcome, read_output(tail), tail)

    def _spec(self) -> RunSpec:
        lab, name = self._lab, f"trial-{self._made}"
        device = hardware_for(lab, None)[0]
        place, budget = (
            DevicePlace(device.id, device.cores, device.environment),
            lab.config.resolved(device.kind),
        )
        spec = spec_on_bench(
            lab, name, lab.runs_dir / name, self._clone, self._referee, place, self._made, budget
        )
        return replace(spec, smoke=False)


@contextmanager
def trial(root: Path, base: str, config: LabConfig) -> Iterator[Trial]:
    """A trial of the repository at `root` as of commit `base`; its folder is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="autoresearch-trial-"))
    try:
        clone = folder / "clone"
        options = ("--quiet", "--local", "--no-hardlinks", "--no-checkout")
        top = Repository(root).root
        within = root.relative_to(top).as_posix() if root != top else ""
        ask_git(folder, "clone", *options, str(top), str(clone))
        ask_git(clone, "checkout", "--quiet", "--detach", base)
        config, speaks = with_files(config, root, within), has_referee(clone / within)
        lab = Lab(root, folder / "state", config, Layout.CUSTOM, speaks, within)
        lab.runs_dir.mkdir(parents=True, mode=0o700)
        settle_on_active(lab, lambda _: None)
        repository = Repository(clone)
        referee = write_referee(lab.referee_dir, referee_of(lab, repository, "HEAD"))
        yield Trial(lab, clone, referee)
    finally:
        remove_folder(folder)


def follow(directory: Path, tell: Tell) -> None:
    """Tell the run's output, line by line, until its runner is gone."""
    offset, pending = 0, b""
    while True:
        alive = runner_alive(directory)
        offset, pending = _tell_new(directory / LOG_FILE, offset, pending, tell)
        if not alive:
            break
        time.sleep(_LOOK_EVERY_S)
    if pending.strip():
        tell(pending.decode("utf-8", "replace"))


def _tell_new(log: Path, offset: int, pending: bytes, tell: Tell) -> tuple[int, bytes]:
    try:
        with log.open("rb") as stream:
            stream.seek(offset)
            data = stream.read(_TAIL_BYTES)
    except OSError:
        return offset, pending
    *lines, rest = (pending + data).replace(b"\r", b"\n").split(b"\n")
    for line in lines:
        if line.strip():
            tell(line.decode("utf-8", "replace"))
    return offset + len(data), rest[-4096:]


def spread_of(runs: Sequence[Measured], metric: str, pattern: str = "") -> Spread | None:
    """The spread of the runs that measured; None when none did."""
    values = [value for run in runs if (value := run.value_of(metric, pattern)) is not None]
    return Spread(tuple(values)) if values else None
