"""An interactive agent: its pane is its client's own interface, with the lab as tools. This process only keeps it."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from types import FrameType
from typing import Never

from roles.backend import BackendError
from roles.backends.clients.catalogue_files import user_folder
from roles.backends.clients.client_setup import Auth, ClientSetup
from roles.backends.clients.interactive import InteractiveClient, interactive_spec
from roles.loops.agent_process import IDLE_POLL_S, AgentProcess, open_agent_process
from roles.pane import stamp
from roles.workbench.client_hooks import tools_ready_file
from roles.workbench.workbench import Workbench
from sessions.environment import passed_on
from sessions.errors import SessionError
from sessions.processes.foreground import Foreground
from sessions.processes.marks import mark_of_agent
from supervisor.errors import LabError
from supervisor.lab.agent_folder import agent_folder
from supervisor.lab.paths import Lab
from supervisor.lab.programs import cli_path
from supervisor.model.snapshot import Agent, LabSnapshot
from supervisor.model.states import AgentState, Wanted

HEALTHY_AFTER_S = 60.0  # a client that lived this long starts the count anew
NO_TOOLS_AFTER_S = (
    20.0  # a client that has not asked for the lab's tools by now asks the person for something
)
GIVE_UP_AFTER = 6  # ends in a row
LONGEST_PAUSE_S = 60.0


def run_interactive(lab: Lab, name: str) -> int:
    """Keep the agent's client running until the campaign is over or the person says stop; returns the exit code."""
    process = open_agent_process(lab, name, NoSteps())
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    keeper = Keeper(process, Workbench(process.workspace()))
    while True:
        snapshot = process.snapshot()
        if not process.may_go_on(snapshot):
            return 0
        agent = keeper.bench.agent(snapshot)
        try:
            keeper.run_client(agent)
        except (LabError, SessionError) as error:
            return keeper.give_up(str(error))
        if keeper.ends >= GIVE_UP_AFTER:
            return keeper.give_up(f"its client ended {keeper.ends} times in a row; see its pane")


@dataclass(slots=True)
class Keeper:
    """Starts the client, watches it, and starts it again."""

    process: AgentProcess
    bench: Workbench
    ends: int = 0  # in a row

    def run_client(self, agent: Agent) -> None:
        """Run the client until it ends or the person wants it to. Raises LabError or SessionError."""
        client = self._client(agent)
        name, argv = client.setup.spec.binary, client.argv()
        self.bench.take_place()
        client.configure()
        tools_ready_file(self.process.lab.state_dir, agent.name).unlink(missing_ok=True)
        starting = f"{name} starts"
        self.process.pane.heading(f"{stamp()} {agent.name}: {starting}")
        self.process.state(AgentState.IDLE, doing=starting)
        began = time.monotonic()
        child = Foreground(argv, client.worktree, client.environment() | mark_of_agent(agent.name))
        try:
            code = self._watch(child, starting)
        finally:
            child.end()
        if code is not None:
            self._wait_to_restart(name, code, time.monotonic() - began)

    def give_up(self, why: str) -> int:
        """Say why there is no client any more; only the person restarts it."""
        text = f"{why}; then `autoresearch-tui restart {self.process.name}`"
        self.process.pane.heading(text)
        self.process.state(AgentState.CRASHED, doing=text)
        return 1

    def _watch(self, child: Foreground, starting: str) -> int | None:
        asks_at = time.monotonic() + NO_TOOLS_AFTER_S
        while (code := child.poll()) is None:
            snapshot = self.process.snapshot()
            if self._must_end(snapshot):
                return None
            if time.monotonic() > asks_at and self.bench.agent(snapshot).doing == starting:
                self._tell_if_it_asks()
            time.sleep(IDLE_POLL_S)
        return code

    def _tell_if_it_asks(self) -> None:
        if tools_ready_file(self.process.lab.state_dir, self.process.name).exists():
            return
        question = "an answer: it asks something before it starts, see its pane"
        self.process.state(AgentState.WAITING, waiting_for=question)

    def _must_end(self, snapshot: LabSnapshot) -> bool:
        # A lab that pauses leaves it up: it may read, and what it wants to begin is refused.
        self.process.watch_supervisor(snapshot)
        return self.process.wanted(snapshot) in (Wanted.STOPPED, Wanted.TAKEN)

    def _wait_to_restart(self, program: str, code: int, lived_s: float) -> None:
        self.ends = 1 if lived_s > HEALTHY_AFTER_S else self.ends + 1
        pause = min(2.0 ** (self.ends - 1), LONGEST_PAUSE_S)
        text = f"{program} ended with code {code}; again in {pause:g} s"
        self.process.pane.heading(text)
        self.process.state(AgentState.FAILING, doing=text)
        until = time.monotonic() + pause
        while time.monotonic() < until and not self._must_end(self.process.snapshot()):
            time.sleep(min(IDLE_POLL_S, pause))

    def _client(self, agent: Agent) -> InteractiveClient:
        lab = self.process.lab
        spec, interactive = interactive_spec(agent.backend, user_folder(lab))
        cli, of_lab = str(cli_path()), ("--lab", str(lab.root), "--state-dir", str(lab.state_dir))
        return InteractiveClient(
            setup=ClientSetup(spec, agent_folder(lab.state_dir, agent.name), Auth.OWN, os.environ),
            interactive=interactive,
            agent=agent.name,
            model=agent.model,
            worktree=self.bench.workspace.worktree(),
            state_dir=lab.state_dir,
            holdout=lab.holdout_dir,
            server=(cli, "mcp", *of_lab),
            # The lab's checks read the person's caches.
            server_env=mark_of_agent(agent.name) | passed_on(("HOME", "AUTORESEARCH_CACHE")),
            hook=(cli, "hook", *of_lab),
        )


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)  # through `finally`: the client goes along


class NoSteps:
    """In place of a backend: here the client orders the steps, and the lab calls none."""

    name = "interactive"

    def _never(self, *_: object, **__: object) -> Never:
        raise BackendError("an interactive agent has no steps of ours")

    plan = edit = reflect = _never
