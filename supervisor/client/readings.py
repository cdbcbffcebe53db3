"""Reading a lab of this machine: its snapshot, diffs, logs and notes."""

from __future__ import annotations

import os
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sessions.git.repository import Repository
from sessions.tmux.terminal import TmuxServer, socket_name_for
from supervisor.errors import LabError
from supervisor.lab.config import guarantees_of
from supervisor.lab.notes import read_note, read_notes
from supervisor.lab.paths import Lab
from supervisor.model.experiment import Experiment, Run
from supervisor.model.records import ThinkingStep
from supervisor.model.snapshot import LabSnapshot
from supervisor.runs.spec import run_directory
from supervisor.store.connection import Store
from supervisor.store.steps import read_steps

if TYPE_CHECKING:
    from supervisor.client.notes_watch import NotesWatch

PERSON = "person"
POLL_S = 0.1
LOG_TAIL_BYTES = 64 * 1024


class LabReadings:
    """How one lab is. Any call may block, any may raise ExpectedError, several threads may call at once."""

    def __init__(self, lab: Lab, author: str = PERSON) -> None:
        """`author` is who asks: the person, or the agent whose client this serves."""
        self.lab = lab
        self.author = author
        self._last_version: int | None = None
        self._last_notes: object = None

    @cached_property
    def store(self) -> Store:
        """The lab's database."""
        return Store(self.lab.db)

    @property
    def tmux_socket(self) -> str:
        """The name of the lab's private tmux server (`tmux -L`)."""
        return socket_name_for(self.lab.root)

    @cached_property
    def server(self) -> TmuxServer:
        """The lab's private tmux server."""
        return TmuxServer(self.tmux_socket)

    @property
    def repository(self) -> Repository:
        """The person's repository."""
        return Repository(self.lab.root)

    @property
    def tag(self) -> str:
        """The campaign's name. Raises LabError before the first launch."""
        campaign = self.launched().campaign
        assert campaign is not None
        return campaign.tag

    @property
    def _rows(self) -> tuple[Store, str]:
        """Where requests are written, and for which campaign. Raises LabError before the first launch."""
        tag = self.tag
        return self.store, tag

    # Reading

    def snapshot(self) -> LabSnapshot:
        """The lab as it is now; an empty one before the first launch. Makes nothing."""
        from supervisor.snapshot_reader import read_snapshot

        if self._last_version is None:
            self._last_version, self._last_notes = self._version(), self._notes()
        now = time.time()
        if self.lab.db.exists():
            return read_snapshot(self.lab, self.store, now)
        guarantees = guarantees_of(self.lab.config, has_referee=self.lab.has_referee)
        notes = read_notes(self.lab.notes_dir)
        return LabSnapshot(self.lab.root, now, version=0, campaign=None, notes=notes, guarantees=guarantees)

    def launched(self) -> LabSnapshot:
        """As `snapshot`. Raises LabError before the first launch."""
        snapshot = self.snapshot()
        if snapshot.campaign is None:
            raise LabError(f"nothing was launched in {self.lab.root} yet; `autoresearch-tui launch` starts")
        return snapshot

    def wait_for_change(self, timeout_s: float) -> bool:
        """Block until a row or a note changed since the last call (True) or the time is over (False).

        One thread at a time may wait: whoever else waits takes a client of its own.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            version = self._version()
            notes = self._notes() if self._notes_watch.is_due() else self._last_notes
            if (version, notes) != (self._last_version, self._last_notes):
                self._last_version, self._last_notes = version, notes
                return True
            time.sleep(POLL_S)
        return False

    @cached_property
    def _notes_watch(self) -> NotesWatch:
        from supervisor.client.notes_watch import NotesWatch

        return NotesWatch(self.lab.notes_dir)

    def _version(self) -> int:
        return self.store.version() if self.lab.db.exists() else 0

    def _notes(self) -> list[tuple[str, int]]:
        """What differs when a note changed."""
        try:
            return sorted((entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(self.lab.notes_dir))
        except OSError:  # there is no folder yet, or a note has just gone
            return []

    def steps_of(self, experiment_id: str) -> tuple[ThinkingStep, ...]:
        """What was thought about an experiment, step by step, oldest first."""
        return read_steps(self.store, experiment_id)

    def diff(self, experiment_id: str) -> str:
        """What the experiment changed, as a unified diff. Raises LabError while there is nothing to show."""
        experiment = experiment_named(self.launched(), experiment_id)
        file = self.lab.runs_dir / experiment.id / "diff.patch"
        if file.is_file():
            return file.read_bytes().decode(errors="replace")
        if experiment.commit in (None, experiment.parent_commit):
            state = (experiment.verdict or experiment.state).value
            raise LabError(f"{experiment.id} has no diff: it is {state}")
        return self.repository.diff(experiment.parent_commit, str(experiment.commit))

    def log_of(self, name: str) -> tuple[Run, Path]:
        """The run that `name` means (e0012.3, or e0012: its latest) and its log file. Raises LabError."""
        snapshot = self.launched()
        experiment = experiment_named(snapshot, name.partition(".")[0])
        started = [run for run in experiment.runs if run_directory(self.lab, run).is_dir()]
        run = snapshot.run(name) if "." in name else (started[-1] if started else None)
        if run is None:
            known = ", ".join(one.id for one in experiment.runs) or "none"
            raise LabError(f"{name} has no log yet; runs of {experiment.id}: {known}")
        return run, run_directory(self.lab, run) / "run.log"

    def log_tail(self, run_id: str) -> str:
        """The last part of the run's run.log, "" before there is one."""
        try:
            _, path = self.log_of(run_id)
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
                return file.read().decode(errors="replace")
        except (LabError, OSError):
            return ""

    def note_text(self, note_id: str) -> str:
        """A note's Markdown below its header. Raises LabError."""
        return read_note(self.lab.notes_dir, note_id)


def experiment_named(snapshot: LabSnapshot, experiment_id: str) -> Experiment:
    """The experiment of that id. Raises LabError."""
    experiment = snapshot.experiment(experiment_id)
    if experiment is None:
        raise LabError(f"there is no experiment {experiment_id!r}; `autoresearch-tui experiments` lists them")
    return experiment
