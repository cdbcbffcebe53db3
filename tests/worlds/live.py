"""A lab that really runs: the console script, tmux, runners; watched through its store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from sessions.tmux.terminal import TmuxServer, socket_name_for
from supervisor.lab.paths import Lab
from supervisor.model.experiment import Run
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import RunState
from supervisor.snapshot_reader import read_snapshot
from supervisor.store.connection import Store

CLI = str(Path(sys.executable).with_name("autoresearch-tui"))
PATIENCE_S = 120.0


class LiveLab:
    """What a test sees of a running lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.server = TmuxServer(socket_name_for(lab.root))

    def cli(self, *words: str, timeout_s: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [CLI, *words],
            cwd=self.lab.root,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def launch_and_leave(self, *words: str) -> None:
        """Start a campaign without waiting for its end."""
        from supervisor.campaign.launch import launch
        from supervisor.campaign.options import LaunchOptions

        options = LaunchOptions(devices="cpu:0,cpu:1", experiments=int(words[0]), juniors=int(words[1]))
        launch(self.lab, options, lambda _: None)

    def snapshot(self) -> LabSnapshot:
        store = Store(self.lab.db)
        try:
            return read_snapshot(self.lab, store, time.time())
        finally:
            store.close()

    def wait(
        self, condition: Callable[[LabSnapshot], object], what: str, patience_s: float = PATIENCE_S
    ) -> LabSnapshot:
        """The first snapshot for which the condition holds."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            snapshot = self.snapshot()
            if condition(snapshot):
                return snapshot
            time.sleep(0.05)
        events = "\n".join(event.text for event in snapshot.events[-15:])
        raise AssertionError(f"never saw {what}; last events:\n{events}")

    def wait_for_run(self, belongs: Callable[[Run], bool] = lambda _: True) -> Run:
        """A run that trains now, its trainer alive."""

        def training(snapshot: LabSnapshot) -> bool:
            return any(self.trainers(run) for run in running(snapshot) if belongs(run))

        snapshot = self.wait(training, "a run that trains")
        return next(run for run in running(snapshot) if belongs(run) and self.trainers(run))

    def processes(self, *words: str) -> list[psutil.Process]:
        """Processes whose command line has all these words."""
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            line = " ".join(process.info["cmdline"] or ())
            if process.info["status"] != psutil.STATUS_ZOMBIE and all(word in line for word in words):
                found.append(process)
        return found

    def trainers(self, run: Run) -> list[psutil.Process]:
        """The trainer processes on the run's bench."""
        assert run.device is not None
        bench = str(self.lab.benches_dir / run.device.replace(":", "-"))
        found = []
        for process in self.processes("train.py"):
            try:
                if process.cwd() == bench:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def runner(self, run: Run) -> psutil.Process:
        """The runner of a run."""
        return self.processes("_runner", f"/runs/{run.experiment_id}/run-{run.ordinal}")[0]

    def kill(self, process: psutil.Process) -> None:
        """SIGKILL, and see it gone."""
        os.kill(process.pid, signal.SIGKILL)
        psutil.wait_procs([process], timeout=20)


def running(snapshot: LabSnapshot) -> list[Run]:
    return [run for e in snapshot.experiments for run in e.runs if run.state is RunState.RUNNING]


@contextmanager
def live(lab: Lab) -> Iterator[LiveLab]:
    """A lab that may be launched; nothing of it is left at the end."""
    lab_alive = LiveLab(lab)
    try:
        yield lab_alive
    finally:
        lab_alive.server.stop()
        for process in lab_alive.processes(str(lab.root)):
            with suppress(psutil.NoSuchProcess):  # it went by itself
                process.kill()
