"""One trainer process from fork to its last descendant's end: watched, metered, timed out, logged."""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace

from sessions.files import read_beneath
from sessions.processes.marks import MARKER_VARIABLE
from sessions.processes.tree import (
    TreeMeter,
    descendants,
    die_with_parent,
    end_tree,
    kill_until_gone,
    offer_to_oom_killer,
    oom_kills,
    pin_to_cores,
    wait_until,
)
from sessions.runs.channel import PhaseStamp, RefereeEvents, RunChannel
from sessions.runs.confinement import make_private_home, wrap
from sessions.runs.contract import CHANNEL_VARIABLE, PEAK_VRAM, RunPhase, RunProgress, RunSpec
from sessions.runs.ending import Attempt
from sessions.runs.gates import FieldReader, closed_gate, figures_said
from sessions.runs.log import RunLog
from sessions.runs.printed_metric import MetricReader, PrintedMetric, Reading
from sessions.sandbox.run_sandbox import Confinement

# Seldom: the runner shares the machine with what it measures. Stamps are sampled when events arrive.
_SAMPLE_EVERY_S = 0.25
_STAMP_PRECISION_S = 0.005  # the kernel counts in ticks of 10 ms; a flood of events must not cost more
_PROGRESS_EVERY_S = 0.5
_GRACE_S = 0.5
_CHUNK = 65536
_LONGEST_REPORT = 2**24  # bytes of a file of figures
_CLOCK_OF_FILES_S = 2.0  # by which a file's time may lag behind


class Signals:
    """What the runner was told: TERM, HUP or INT mean stop, CHLD that somebody exited."""

    def __init__(self) -> None:
        self.stop = False
        self.wakeup, theirs = os.pipe()
        for descriptor in (self.wakeup, theirs):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, self._told_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # the shell that started us had it ignored

    def clear(self) -> None:
        """Take note that we woke up."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.wakeup, 512):
                pass

    def _told_to_stop(self, *_: object) -> None:
        self.stop = True


def mark_of(spec: RunSpec) -> str:
    """The mark that every process of this run carries in its environment."""
    return f"{spec.marker or spec.directory}:{spec.run_id}"


class Trainer:
    """The process under test, with all that it starts."""

    _pid: int
    _status: int | None  # as waitpid gives it; None while it runs
    _timed_out: bool
    _end: PhaseStamp  # when nothing of it was left
    _left_behind: int  # processes that outlived it

    def __init__(
        self,
        spec: RunSpec,
        confinement: Confinement,
        log: RunLog,
        meter: TreeMeter,
        signals: Signals,
        show: Callable[[RunProgress], None],
    ) -> None:
        self._spec, self._confinement, self._log = spec, confinement, log
        self._meter, self._signals, self._show = meter, signals, show
        self._shown: RunProgress | None = None

    def run(self, smoke: bool, timeout_s: float) -> Attempt:
        """Start it and see it through to its end; nothing of it is left when this returns."""
        began, kills_before = time.monotonic(), oom_kills()
        self._started_at = time.time() - _CLOCK_OF_FILES_S
        self._printed = PrintedMetric(self._spec.metric)
        gated = tuple(gate.name for gate in self._spec.gates)
        self._reader = MetricReader(
            self._spec.metric,
            (*self._spec.also, *gated, PEAK_VRAM),
            self._spec.metric_format,
            self._spec.metric_pattern,
        )
        self._fields = FieldReader((*gated, *self._spec.also))
        self._pid, self._status, self._timed_out = -1, None, False
        ours, theirs = socket.socketpair()
        output, their_output = os.pipe()
        self._channel = channel = RunChannel(ours)
        stamps = channel.events.stamps
        stamps.append(PhaseStamp(RunPhase.STARTING, began, self._meter.sample()))
        private = self._spec.directory / ("private-smoke" if smoke else "private")
        try:
            channel.assign(self._spec, smoke)
            home = make_private_home(private, self._spec.caches)
            self._pid = self._start(theirs, their_output, home, smoke)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return Attempt(channel.events, None, "", start_problem=f"it cannot be started: {error}")
        else:
            if not self._spec.has_referee and not smoke:  # there is nobody to say when training begins
                stamps.append(PhaseStamp(RunPhase.TRAINING, began, stamps[0].cpu_s))
            self._watch(output, began + timeout_s, smoke)
        finally:
            theirs.close()
            os.close(their_output)
            self._finish(output)
            ours.close()
            os.close(output)
            # What cannot be removed stays in the run's folder.
            shutil.rmtree(private, ignore_errors=True)
        reading = self._reading(smoke)
        said = self._fields.said(reading.also)
        # What no dialect reads, as `latency = 0.12 ms`, is a figure all the same: its limit must see it.
        reading = replace(reading, also=figures_said(said) | reading.also)
        return Attempt(
            events=channel.events,
            exit_code=self._exit_code(),
            tail=self._log.tail(),
            timed_out=self._timed_out,
            told_to_end=self._signals.stop,
            killed_for_memory=self._exit_code() == -signal.SIGKILL and oom_kills() > kills_before,
            end=self._end,
            printed=self._printed.values(),
            reading=reading,
            closed_gate=closed_gate(self._spec.gates, said),
            left_over=self._left_behind,
        )

    def _start(self, theirs: socket.socket, their_output: int, home: dict[str, str], smoke: bool) -> int:
        runner = os.getpid()
        argv = self._spec.smoke_argv if smoke and not self._spec.has_referee else self._spec.argv
        spec = replace(self._spec, env=self._spec.env | home)

        def prepare() -> None:
            die_with_parent(runner)
            pin_to_cores(spec.cores)
            offer_to_oom_killer()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        process = subprocess.Popen(
            wrap(argv, spec, self._confinement),
            cwd=spec.cwd,
            env=spec.env | {CHANNEL_VARIABLE: str(theirs.fileno()), MARKER_VARIABLE: mark_of(spec)},
            stdin=subprocess.DEVNULL,
            stdout=their_output,
            stderr=their_output,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
            preexec_fn=prepare,
        )
        process.returncode = 0  # we wait for it ourselves, among all the orphans we adopt
        return process.pid

    def _watch(self, output: int, deadline: float, smoke: bool) -> None:
        os.set_blocking(output, False)
        next_sample = next_progress = 0.0
        with selectors.DefaultSelector() as selector:
            for source in (self._channel.socket, output, self._signals.wakeup):
                selector.register(source, selectors.EVENT_READ)
            while self._status is None and not self._signals.stop:
                now = time.monotonic()
                if now >= deadline:
                    self._timed_out = True
                    return
                if now >= next_sample:
                    self._meter.sample()
                    next_sample = now + _SAMPLE_EVERY_S
                if now >= next_progress:
                    self._show_progress(smoke)
                    next_progress = now + _PROGRESS_EVERY_S
                self._watch_for_room(selector)
                for key, ready in selector.select(min(next_sample, deadline) - now):
                    if ready & selectors.EVENT_WRITE:
                        self._channel.write()
                    if ready & selectors.EVENT_READ and not self._attend(key.fileobj, output):
                        selector.unregister(key.fileobj)

    def _watch_for_room(self, selector: selectors.BaseSelector) -> None:
        # The holdout is larger than the socket's buffer: it goes out as the referee takes it in.
        source = self._channel.socket
        if source in selector.get_map():
            writing = selectors.EVENT_WRITE if self._channel.outgoing else 0
            selector.modify(source, selectors.EVENT_READ | writing)

    def _attend(self, source: object, output: int) -> bool:
        """Take in what one source has to say; False when it has closed."""
        if source is self._channel.socket:
            return self._channel.read(self._meter.sample(_STAMP_PRECISION_S))
        if source == output:
            return self._take_output(output)
        self._signals.clear()
        self._reap()
        return True

    def _take_output(self, output: int) -> bool:
        try:
            data = os.read(output, _CHUNK)
        except BlockingIOError:
            return True
        if self._spec.has_referee:
            self._printed.take(data)
        else:
            self._reader.take(data)
        # What a run prints once it has the sealed text could be that text.
        if self._channel.events.holdout is None:
            self._log.write(data)
            self._fields.take(data)
        return bool(data)

    def _finish(self, output: int) -> None:
        """End whatever is left of the tree, then take in its last words."""
        self._left_behind = 0
        if self._status is None:
            end_tree(os.getpid(), _GRACE_S, including_itself=False)
        elif not wait_until(lambda: not self._left_over(), _GRACE_S):
            self._left_behind = len(self._left_over())
        kill_until_gone(self._left_over)
        cpu_s = self._meter.sample()
        os.set_blocking(output, False)
        while self._channel.read(self._meter.cpu_s) and _readable(self._channel.socket):
            pass
        while _readable(output) and self._take_output(output):
            pass
        self._end = PhaseStamp(RunPhase.EVALUATING, time.monotonic(), cpu_s)

    def _left_over(self) -> list[int]:
        self._reap()
        return descendants(os.getpid())

    def _reap(self) -> None:
        """Wait for every child that has exited, the adopted ones too."""
        with contextlib.suppress(ChildProcessError):
            while (waited := os.waitpid(-1, os.WNOHANG))[0]:
                if waited[0] == self._pid:
                    self._status = waited[1]

    def _reading(self, smoke: bool) -> Reading:
        if self._spec.metric_file and not smoke:
            text = read_beneath(self._spec.cwd, self._spec.metric_file, _LONGEST_REPORT, self._started_at)
            self._reader.take_file(text)
        return self._reader.reading()

    def _exit_code(self) -> int | None:
        if self._status is None:
            return None
        code = os.waitstatus_to_exitcode(self._status)
        # A sandbox passes on a death by signal the way shells do.
        return 128 - code if code > 128 and self._confinement is not Confinement.NONE else code

    def _show_progress(self, smoke: bool) -> None:
        progress = _progress(self._channel.events, self._spec, smoke, self._meter.cpu_s)
        if self._shown is None or replace(progress, at=self._shown.at) != self._shown:
            self._shown = progress
            self._show(progress)


def _progress(events: RefereeEvents, spec: RunSpec, smoke: bool, cpu_s: float) -> RunProgress:
    now = time.time()
    if smoke:
        return RunProgress(RunPhase.SMOKE, 0.0, 0.0, at=now)
    last = events.progress or RunProgress(events.phase, 0.0, 0.0)
    if not spec.has_referee and (start := events.stamp(RunPhase.TRAINING)):
        elapsed = cpu_s - start.cpu_s if spec.clock == "cpu" else time.monotonic() - start.wall_s
        last = replace(last, elapsed_s=elapsed, fraction=min(1.0, elapsed / spec.budget_s))
    if events.phase is RunPhase.EVALUATING:
        last = replace(last, fraction=1.0)
    return replace(last, phase=events.phase, at=now)


def _readable(source: socket.socket | int) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_READ)
        return bool(selector.select(0))
