"""All that is asked of a lab from outside: by the screen, the command line, the MCP server, a script."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sessions.errors import SessionError
from sessions.git.repository import Repository
from sessions.tmux.terminal import TmuxServer, socket_name_for
from supervisor.errors import LabError
from supervisor.lab.config import AgentSpec, guarantees_of
from supervisor.lab.notes import publish_note, read_note, read_notes
from supervisor.lab.paths import Lab
from supervisor.lab.state_folder import prepare_state
from supervisor.model.experiment import Experiment, Run
from supervisor.model.records import ThinkingStep
from supervisor.model.snapshot import Hypothesis, LabSnapshot
from supervisor.model.states import HypothesisState, Role, Wanted
from supervisor.runs.spec import run_directory
from supervisor.store import agents, campaigns, hypotheses
from supervisor.store.connection import Store
from supervisor.store.steps import read_steps

if TYPE_CHECKING:
    from supervisor.campaign.new_campaign import LaunchOptions
    from supervisor.promotion.requests import PromotionRequests

PERSON = "person"
POLL_S = 0.1
LOG_TAIL_BYTES = 64 * 1024


class LabClient:
    """One lab of this machine. Readings say how it is; requests are rows that agents and the supervisor obey.

    Any call may block, any may raise ExpectedError, and several threads may call at once. What is slow to import
    (statistics, a launch) is imported by the calls that need it.
    """

    def __init__(self, lab: Lab, author: str = PERSON) -> None:
        """`author` is who asks: the person, or the agent whose client this serves."""
        self.lab = lab
        self.author = author
        self._last_mark: object = None

    @cached_property
    def store(self) -> Store:
        """The lab's database."""
        return Store(self.lab.db)

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

        if self._last_mark is None:
            self._last_mark = self._mark()
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
            mark = self._mark()
            if mark != self._last_mark:
                self._last_mark = mark
                return True
            time.sleep(POLL_S)
        return False

    def _mark(self) -> object:
        """What differs when a row or a note changed; cheap enough to poll."""
        version = self.store.version() if self.lab.db.exists() else 0
        try:
            notes = [(entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(self.lab.notes_dir)]
        except OSError:  # there is no folder yet, or a note has just gone
            notes = []
        return version, notes

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

    # Directing

    def add_note(self, title: str, text: str, experiment_id: str | None = None) -> str:
        """Publish a finding; returns the note's id. Raises LabError for an unknown experiment."""
        if experiment_id is not None:
            experiment_named(self.launched(), experiment_id)
        if not self.lab.notes_dir.is_dir():
            prepare_state(self.lab)
        return publish_note(self.lab.notes_dir, title, text, self.author, time.time(), experiment_id)

    def add_hypothesis(
        self, title: str, change: str = "", rationale: str = "", parent_id: str | None = None
    ) -> str:
        """Put a hypothesis at the head of the plan; returns its id. Raises LabError for an unknown parent."""
        if parent_id is not None:
            experiment_named(self.launched(), parent_id)
        new = Hypothesis(title=title, rationale=rationale, change=change or title, parent_id=parent_id)
        (hypothesis_id,) = hypotheses.add_hypotheses(
            *self._rows, self.author, (new,), HypothesisState.OPEN, time.time(), first=True
        )
        return hypothesis_id

    def approve(self, hypothesis_id: str) -> None:
        """Open a proposed hypothesis for the juniors. Raises LabError."""
        self._set_hypothesis(hypothesis_id, HypothesisState.OPEN)

    def reject(self, hypothesis_id: str) -> None:
        """Take a hypothesis out of the plan. Raises LabError."""
        self._set_hypothesis(hypothesis_id, HypothesisState.WITHDRAWN)

    def _set_hypothesis(self, hypothesis_id: str, state: HypothesisState) -> None:
        hypotheses.set_hypothesis_state(*self._rows, hypothesis_id, state, time.time())

    def move_hypothesis(self, hypothesis_id: str, before: str | None) -> None:
        """Put a hypothesis right before another one, or first. Raises LabError."""
        hypotheses.move_hypothesis(*self._rows, hypothesis_id, before, time.time())

    def send(self, names: Sequence[str], text: str) -> tuple[int, ...]:
        """Leave a message that these agents read before their next step; returns one number per agent."""
        return agents.send_message(*self._rows, names, text, self.author, time.time())

    def unread_messages(self, numbers: Sequence[int]) -> tuple[int, ...]:
        """Those of the messages that were not read yet."""
        return agents.unread_messages(self.store, numbers)

    # Steering

    def add_agent(self, role: Role, backend: str = "") -> tuple[str, str]:
        """Hire one more agent of "backend[:model]", or as the lab's file says; the supervisor starts it.

        Returns its name and backend. Raises LabError for a second chief.
        """
        snapshot = self.launched()
        if role is Role.CHIEF and any(agent.role is Role.CHIEF for agent in snapshot.agents):
            raise LabError("the lab has its chief; `autoresearch-tui restart chief` starts it afresh")
        config = self.lab.config.agents
        number = 1 + sum(agent.role is Role.JUNIOR for agent in snapshot.agents)
        spec = config.chief if role is Role.CHIEF else config.spec_of_junior(number)
        if backend:
            spec = AgentSpec.of_words(backend)
        name = agents.add_agent(
            *self._rows, role, spec.backend, time.time(), model=spec.model, mode=spec.mode
        )
        return name, spec.backend

    def pause(self, names: Sequence[str]) -> None:
        """Ask agents, or with none named the whole lab, for a pause after the current step. Raises LabError."""
        self._want(names, Wanted.PAUSED)

    def resume(self, names: Sequence[str]) -> None:
        """Ask paused or stopped agents, or the whole lab, to go on. Raises LabError."""
        self._want(names, Wanted.RUNNING)

    def stop(self, names: Sequence[str]) -> None:
        """Ask agents, or the whole lab, to end; everything they made stays. Raises LabError."""
        self._want(names, Wanted.STOPPED)

    def take_over(self, name: str) -> None:
        """Ask a junior to leave its place to the person after its current step. Raises LabError."""
        agent = self.launched().agent(name)
        if agent is not None and agent.role is not Role.JUNIOR:
            raise LabError(f"{name} plans; only a junior's place can be taken")
        self._want((name,), Wanted.TAKEN)

    def hand_back(self, name: str) -> None:
        """Let an agent that was taken over go on. Raises LabError."""
        agent = self.launched().agent(name)
        if agent is not None and agent.wanted is not Wanted.TAKEN:
            raise LabError(f"{name} is not taken over; `autoresearch-tui takeover {name}` does that")
        self._want((name,), Wanted.RUNNING)

    def _want(self, names: Sequence[str], wanted: Wanted) -> None:
        if names:
            agents.want_agents(*self._rows, names, wanted, time.time())
        else:
            campaigns.want_campaign(*self._rows, wanted, time.time())

    def restart(self, names: Sequence[str]) -> tuple[str, ...]:
        """Ask the supervisor to start these agents, or all, afresh; returns their names. Raises LabError."""
        names = tuple(names) or tuple(agent.name for agent in self.launched().agents)
        agents.request_restart(*self._rows, names, time.time())
        return tuple(names)

    @cached_property
    def promotions(self) -> PromotionRequests:
        """What is asked about main. Raises LabError before the first launch."""
        from supervisor.promotion.requests import PromotionRequests

        self.launched()
        return PromotionRequests(self)

    # Starting, and looking at panes

    def launch(self, options: LaunchOptions, say: Callable[[str], None]) -> None:
        """Start, join or resume the lab's campaign; `say` gets a line for each longer step. Raises ExpectedError."""
        from supervisor.campaign.launch import launch

        launch(self.lab, options, say)

    @property
    def tmux_socket(self) -> str:
        """The name of the lab's private tmux server (`tmux -L`)."""
        return socket_name_for(self.lab.root)

    @property
    def attach_takes_terminal(self) -> bool:
        """True where this process does not run on the lab's own tmux server: there attaching is a switch."""
        return self.tmux_socket not in os.environ.get("TMUX", "")

    def attach(self, agent: str) -> int:
        """Show an agent's pane (or "supervisor") in this terminal until the person leaves it; tmux's exit code."""
        windows = self.server.windows()
        if agent not in windows:
            shown = ", ".join(windows) or "none: the lab does not run"
            raise LabError(f"there is no pane of {agent!r}; panes: {shown}")
        return self.server.attach(agent)

    def switch_to(self, agent: str) -> None:
        """Switch the terminal of the screen that this process is to an agent's pane. Raises ExpectedError."""
        self.server.show_agent(agent)

    def capture(self, agent: str) -> str:
        """The agent's visible pane with its SGR codes (`capture-pane -e`), "" when it has no pane."""
        try:
            return self.server.capture(agent)
        except SessionError:
            return ""


def experiment_named(snapshot: LabSnapshot, experiment_id: str) -> Experiment:
    """The experiment of that id. Raises LabError."""
    experiment = snapshot.experiment(experiment_id)
    if experiment is None:
        raise LabError(f"there is no experiment {experiment_id!r}; `autoresearch-tui experiments` lists them")
    return experiment
