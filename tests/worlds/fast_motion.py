"""A lab in fast motion: the real store and the real policy, with training runs that end at once.

Only training is stood in for: `effects` says what each experiment's true metric is.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sessions.devices.discovery import FoundDevice
from sessions.runs.contract import RunEnding, RunOutcome
from supervisor.analysis.champion import with_analysis
from supervisor.analysis.sequential_test import DecideRules
from supervisor.model.actions import (
    Action,
    Adopt,
    AskChief,
    ChangeState,
    Judge,
    Mend,
    QueueRun,
    SendBack,
    SettleBaseline,
    StartRun,
)
from supervisor.model.experiment import Experiment, Run
from supervisor.model.records import Draft, NewCampaign
from supervisor.model.snapshot import LabSnapshot, Limits, Setting
from supervisor.model.states import Clock, Direction, HypothesisState, Role, RunKind, RunState
from supervisor.policy.next_actions import next_actions
from supervisor.policy.verdicts import baseline_runs_for
from supervisor.store import agents, campaigns, experiments, hypotheses, runs
from supervisor.store.connection import Store
from supervisor.store.devices import record_devices
from supervisor.store.reading import read_rows

TAG = "nov21"
BASELINE = 2.0
SD = 0.01
SETTING = Setting("s1", "ref", "data", "val_bpb", 20.0, Clock.CPU, "cpu")


@dataclass
class World:
    """A store with a campaign, and the hands that play agents, runners and supervisor."""

    path: Path
    devices: int = 2
    juniors: int = 2
    experiments: int | None = None
    seed: int = 0
    rules: DecideRules = field(default_factory=DecideRules)
    truth: dict[str, float] = field(default_factory=dict)  # commit → true metric
    gain_of: Callable[[int], float] = lambda _: 0.0  # the n-th draft's true gain over its parent
    ending_of: Callable[[int], RunEnding] = lambda _: RunEnding.MEASURED
    overfits: Callable[[int], float] = lambda _: 0.0  # how much of its gain is on the validation text only
    has_holdout: bool = True
    crash_reason: str = ""  # of every crash; "": as its ending
    now: float = 1000.0
    drafts: int = 0
    done: list[Action] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.noise = random.Random(self.seed)
        self.store = Store(self.path / "lab.db")
        found = tuple(FoundDevice(f"cpu:{n}", "cpu", f"core {n}", (n,), None) for n in range(self.devices))
        record_devices(self.store, found, self.now)
        new = NewCampaign(
            TAG, "base", "val_bpb", Direction.LOWER, SETTING, Limits(self.experiments), 1, False, 7,
            baseline_runs_for(self.devices),
        )  # fmt: skip
        campaigns.start_campaign(self.store, new, self.now)
        self.truth["base"] = BASELINE
        agents.add_agent(self.store, TAG, Role.CHIEF, "offline", self.now)
        for _ in range(self.juniors):
            agents.add_agent(self.store, TAG, Role.JUNIOR, "offline", self.now)

    def snapshot(self) -> LabSnapshot:
        rows = read_rows(self.store, self.path, self.now, notes=(), supervisor_alive=True)
        return with_analysis(rows, 0.0)

    def draft_all(self) -> None:
        """Every junior with room hands over one draft."""
        for agent in self.snapshot().agents:
            if agent.role is Role.JUNIOR and self.has_room(agent.name):
                self.draft(agent.name)

    def has_room(self, name: str) -> bool:
        mine = [e for e in self.snapshot().experiments if e.agent == name and e.verdict is None]
        return len([e for e in mine if e.commit is not None and e.state != "drafting"]) <= 1

    def draft(self, name: str) -> str | None:
        """One junior claims and hands over; a draft that was sent back comes first."""
        snapshot = self.snapshot()
        sent_back = next((e for e in snapshot.experiments if e.agent == name and e.state == "drafting"), None)
        begun = sent_back.id if sent_back else experiments.begin_experiment(
            self.store, TAG, name, self.now, without_hypothesis=True
        )  # fmt: skip
        if begun is None:
            return None
        experiment = self.experiment(begun)
        self.drafts += 1
        commit = f"c{self.drafts:04d}"
        self.truth[commit] = self.truth[experiment.parent_commit] - self.gain_of(self.drafts)
        handed = Draft(commit, f"draft {self.drafts}", "better", "{}", f"hash-{commit}", 1, 1)
        experiments.record_ready(self.store, TAG, begun, handed, self.now)
        return begun

    def experiment(self, identifier: str) -> Experiment:
        found = self.snapshot().experiment(identifier)
        assert found is not None
        return found

    def act(self) -> tuple[Action, ...]:
        """Ask the policy until it has nothing more to say; returns what was done."""
        done: list[Action] = []
        for _ in range(100):
            actions = next_actions(self.snapshot(), self.rules)
            changed = [self.do(action) for action in actions]
            done += actions
            if not any(changed):
                self.done += done
                return tuple(done)
        raise AssertionError(f"the policy does not come to rest: {done[-3:]}")

    def do(self, action: Action) -> bool:
        match action:
            case ChangeState():
                campaigns.set_campaign_state(self.store, TAG, action.state, action.reason, self.now)
            case SettleBaseline():
                campaigns.decide_baseline(self.store, TAG, action.experiment_id, self.now, action.text)
            case QueueRun():
                runs.queue_runs(self.store, TAG, action.experiment_id, action.kind, action.count, self.now)
            case StartRun():
                return runs.take_lease(self.store, action.run_id, action.device_id, self.now)
            case Judge():
                return experiments.record_verdict(
                    self.store, TAG, action.experiment_id, action.judgement, self.now,
                    new_incumbent=action.new_incumbent, retry=action.retry,
                )  # fmt: skip
            case Mend():
                return experiments.send_to_mend(self.store, TAG, action.experiment_id, action.why, self.now)
            case SendBack():
                return experiments.send_back(
                    self.store, TAG, action.experiment_id, action.new_parent_id, self.now
                )
            case Adopt():
                experiments.adopt_incumbent(
                    self.store, TAG, action.agent, action.experiment_id, self.now, action.why
                )
                hypotheses.add_hypotheses(
                    self.store, TAG, action.agent, action.ports, HypothesisState.OPEN, self.now, first=True
                )
            case AskChief():
                return False
        return True

    def running(self) -> tuple[Run, ...]:
        return tuple(r for e in self.snapshot().experiments for r in e.runs if r.state is RunState.RUNNING)

    def finish(self, run: Run, ending: RunEnding | None = None) -> None:
        """The run ends, by its experiment's true metric and the noise."""
        experiment = self.experiment(run.experiment_id)
        assert experiment.commit is not None
        number = int(experiment.commit[1:]) if experiment.commit != "base" else 0
        ending = ending or (self.ending_of(number) if number else RunEnding.MEASURED)
        metric = self.truth[experiment.commit] + self.noise.gauss(0, SD)
        self.now += 1
        sealed = self.has_holdout and run.kind in (RunKind.BASELINE, RunKind.VERIFICATION)
        holdout = metric + 0.1 + self.overfits(number) + self.noise.gauss(0, SD / 4) if sealed else None
        reason = "" if ending is RunEnding.MEASURED else self.crash_reason or f"it {ending}"
        outcome = RunOutcome(
            run_id=run.id, ending=ending, reason=reason,
            metric=metric if ending is RunEnding.MEASURED else None, started_at=self.now - 20,
            finished_at=self.now, training_s=20.0, total_s=25.0, cpu_s=22.0, cpu_per_wall=1.0, peak_memory_mb=400.0,
            holdout=holdout if ending is RunEnding.MEASURED else None,
        )  # fmt: skip
        assert runs.finish_run(self.store, TAG, run.id, outcome)

    def play(self, rounds: int = 400) -> LabSnapshot:
        """Draft, act and finish until the campaign is over."""
        for _ in range(rounds):
            self.draft_all()
            self.act()
            running = self.running()
            if not running and self.snapshot().campaign.state != "running":  # type: ignore[union-attr]
                return self.snapshot()
            for run in running[:1]:
                self.finish(run)
        raise AssertionError("the campaign did not end")
