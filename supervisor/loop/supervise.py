"""The supervisor's loop: take results, decide, start what is next. Nothing it knows lives only in memory."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from types import FrameType

from sessions.errors import SessionError
from sessions.git.repository import Repository
from sessions.locks import held
from sessions.tmux.terminal import TmuxServer, socket_name_for
from supervisor.campaign.launch import SUPERVISOR_WINDOW
from supervisor.campaign.leave import is_over, leave_server, research_is_over
from supervisor.campaign.new_setting import told
from supervisor.campaign.setting import config_changes
from supervisor.errors import LabError, StoreError
from supervisor.lab.paths import Lab
from supervisor.loop.agent_processes import AgentProcesses
from supervisor.loop.executor import Executor
from supervisor.loop.gpu_monitor import DeviceMonitor
from supervisor.loop.publishing import move_branches, publish_verdicts, write_plan, write_results
from supervisor.model.experiment import Experiment, Run
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import CampaignState, RunState
from supervisor.policy.next_actions import next_actions
from supervisor.policy.verdicts import rules_of
from supervisor.runs.run import collect_run, end_run
from supervisor.snapshot_reader import LabReader
from supervisor.store.campaigns import log_event, set_campaign_state
from supervisor.store.connection import Store
from supervisor.text import one_line, signed_figure

TICK_S = 0.1  # a few file look-ups; how long a device may wait for its next run
AGENTS_EVERY_S = 2.0
RETRY_S = 5.0  # after a full disk or a git that is locked
LOCK_PATIENCE_S = 4.0  # for the one before us, on its way out


def supervise(lab: Lab) -> int:
    """Run the lab until its campaign is over; returns the exit code. One process per lab does it."""
    with held(lab.supervisor_lock, LOCK_PATIENCE_S) as mine:
        if not mine:
            print("another supervisor runs this lab already", flush=True)
            return 0
        loop = Loop(lab)
        signal.signal(signal.SIGTERM, loop.stop)
        signal.signal(signal.SIGHUP, loop.stop)
        return loop.run()


@dataclass(slots=True)
class Loop:
    """One supervisor's life. A successor needs nothing of it but the store."""

    lab: Lab
    store: Store = field(init=False)
    reader: LabReader = field(init=False)
    repository: Repository = field(init=False)
    executor: Executor = field(init=False)
    agent_processes: AgentProcesses = field(init=False)
    devices: DeviceMonitor = field(init=False)
    stopping: bool = False
    _agents_at: float = 0.0
    _last_event: int = 0
    _complaint: str = ""
    _drift_told: str = ""

    def __post_init__(self) -> None:
        self.store = Store(self.lab.db)
        self.reader = LabReader(self.lab, self.store)
        self.repository = Repository(self.lab.root)
        self.executor = Executor(self.lab, self.store, self.repository)
        self.devices = DeviceMonitor(self.lab, self.store)
        server = TmuxServer(socket_name_for(self.lab.root))
        self.agent_processes = AgentProcesses(self.lab, self.store, server)

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        """Leave at the next tick; runs go on, a successor adopts them."""
        self.stopping = True

    def run(self) -> int:
        """Tick until the campaign is over."""
        try:
            self._expect_same_setting()
            return self._tick_on()
        finally:
            self.devices.stop()

    def _expect_same_setting(self) -> None:
        """End a campaign whose configuration is another one since it began: what comes now is not comparable."""
        campaign = self.look().campaign
        if campaign is None or research_is_over(self.look()):
            return
        if changed := config_changes(self.lab, campaign):
            why = f"{told(changed)}; `autoresearch-tui launch` begins a run in a setting of its own"
            set_campaign_state(self.store, campaign.tag, CampaignState.STOPPED, why, time.time())

    def _tick_on(self) -> int:
        while not self.stopping:
            try:
                snapshot = self.tick(time.time())
            except (StoreError, SessionError, LabError, OSError) as error:
                self._complain(str(error))
                time.sleep(RETRY_S)
                continue
            if is_over(snapshot):
                code = self._wind_down(snapshot)
                leave_server(self.lab, SUPERVISOR_WINDOW)
                if is_over(self.look()):  # a launch may have come while it was leaving
                    return code
            time.sleep(TICK_S)
        return 0

    def tick(self, now: float) -> LabSnapshot:
        """Take what is finished, do what is due; returns the lab as it then stands."""
        snapshot = self.look()
        if self.devices.keep(snapshot, now):
            snapshot = self.look()
        snapshot = self._collect(snapshot, now)
        changed = True
        while changed:
            changed = publish_verdicts(self.lab, self.store, self.repository, snapshot, now)
            for action in next_actions(snapshot, rules_of(self.lab.config)):
                changed = self.executor.do(action, snapshot, now) or changed
            if changed:
                snapshot = self.look()
        if research_is_over(snapshot) and not is_over(snapshot):
            # A promotion is still measured: only its runs go on.
            self._end_runs(snapshot, snapshot.experiments, snapshot.canaries)
        if now - self._agents_at >= AGENTS_EVERY_S:
            self._agents_at = now
            for problem in move_branches(self.repository, snapshot):
                self._complain(problem)
            write_plan(self.lab, snapshot)
            self.agent_processes.keep(snapshot, now)
        self._tell_drift(snapshot)
        self._print_events(snapshot)
        return snapshot

    def _collect(self, snapshot: LabSnapshot, now: float) -> LabSnapshot:
        if snapshot.campaign is None:
            return snapshot
        tag = snapshot.campaign.tag
        changed = [collect_run(self.lab, self.store, tag, run, now) for run in snapshot.running_runs()]
        return self.look() if any(changed) else snapshot

    def _wind_down(self, snapshot: LabSnapshot) -> int:
        campaign = snapshot.campaign
        if campaign is None:
            return 0
        self.end_runs()
        snapshot = self.look()
        publish_verdicts(self.lab, self.store, self.repository, snapshot, time.time())
        write_results(
            self.lab.results_tsv, snapshot
        )  # fresh runs may have moved a figure since the last verdict
        move_branches(self.repository, snapshot)
        write_plan(self.lab, snapshot)
        self._print_events(snapshot)
        word = "finished" if campaign.state is CampaignState.FINISHED else "stopped"
        print(f"campaign {campaign.tag} {word}: {campaign.reason}", flush=True)
        return 0

    def look(self) -> LabSnapshot:
        """The lab as it is now."""
        return self.reader.read()

    def end_runs(self) -> None:
        """End every run; each waits in the queue for the next launch."""
        snapshot = self.look()
        self._end_runs(snapshot, (*snapshot.experiments, *snapshot.trials), snapshot.canaries)

    def _end_runs(
        self, snapshot: LabSnapshot, experiments: tuple[Experiment, ...], canaries: tuple[Run, ...]
    ) -> None:
        runs = (*canaries, *(run for e in experiments for run in e.runs))
        for run in (run for run in runs if run.state is RunState.RUNNING):
            assert snapshot.campaign is not None
            end_run(self.lab, run)
            collect_run(self.lab, self.store, snapshot.campaign.tag, run, time.time())

    def _tell_drift(self, snapshot: LabSnapshot) -> None:
        drift, campaign = snapshot.drift, snapshot.campaign
        if drift is None or campaign is None or drift.since_run == self._drift_told:
            return
        self._drift_told = drift.since_run
        head = f"the machine has changed since {drift.since_run}"
        if not any(event.text.startswith(head) for event in snapshot.events):  # told before a restart
            text = f"{head}: the baseline now measures {signed_figure(drift.change)} (p {drift.p:.1g})"
            log_event(self.store, campaign.tag, time.time(), "", text)

    def _complain(self, text: str) -> None:
        if text == self._complaint:
            return
        self._complaint = text
        print(f"supervisor: {text}", flush=True)
        try:
            snapshot = self.look()
            if snapshot.campaign is not None:
                log_event(self.store, snapshot.campaign.tag, time.time(), "", f"supervisor: {text}")
        except (StoreError, LabError, OSError):
            return  # the complaint is on the pane; a full disk takes no more

    def _print_events(self, snapshot: LabSnapshot) -> None:
        for event in snapshot.events:
            if event.id > self._last_event:
                stamp = time.strftime("%H:%M:%S", time.localtime(event.at))
                print(f"{stamp} {event.agent or 'lab':<10} {one_line(event.text)}", flush=True)
                self._last_event = event.id
