"""A campaign in fast motion on a real repository: only trainings are simulated."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from sessions.devices.discovery import FoundDevice
from sessions.git.repository import Repository
from sessions.runs.contract import RunEnding, RunOutcome
from supervisor.analysis.sequential_test import DecideRules
from supervisor.campaign.leave import is_over
from supervisor.lab.referee_copy import hash_referee
from supervisor.lab.state_folder import prepare_state
from supervisor.loop.executor import Executor
from supervisor.model.actions import StartRun
from supervisor.model.experiment import Experiment, Run
from supervisor.model.promotion import Promotion
from supervisor.model.records import Draft, Judgement, NewCampaign
from supervisor.model.snapshot import LabSnapshot, Limits, Setting
from supervisor.model.states import CampaignState, Clock, Direction, Role, Verdict
from supervisor.policy.next_actions import next_actions
from supervisor.policy.verdicts import baseline_runs_for
from supervisor.promotion.commands import request_promotion
from supervisor.snapshot_reader import read_snapshot
from supervisor.store import agents, campaigns, experiments, runs
from supervisor.store.connection import Store
from supervisor.store.devices import record_devices
from tests.worlds.labs import git, make_toy_lab

TAG = "nov21"
SD = 0.01
LINES = [f"LINE_{n} = {n}" for n in range(1, 41)]


class PromotionWorld:
    """A lab whose canvas has forty lines; a keep changes some of them, and `worth` says what a line is worth."""

    def __init__(
        self, folder: Path, *, devices: int = 2, seed: int = 0, holdout: bool = True, trunk: str = "main"
    ) -> None:
        self.lab = make_toy_lab(folder, "\n".join(LINES) + "\n")
        git(folder, "config", "user.name", "A Person")
        git(folder, "config", "user.email", "person@example.org")
        git(folder, "branch", "-q", "-m", trunk)
        prepare_state(self.lab)
        self.repository, self.store = Repository(folder), Store(self.lab.db)
        self.random, self.now, self.holdout = random.Random(seed), 1_700_000_000.0, holdout
        self.worth: dict[str, float] = {}  # a line's text → what it lowers the metric by
        self.held: dict[str, float] = {}  # the same on the holdout, where it differs
        self.ending_of: Callable[[Experiment], RunEnding] = lambda _: RunEnding.MEASURED
        found = tuple(FoundDevice(f"cpu:{n}", "cpu", f"core {n}", (n,), None) for n in range(devices))
        record_devices(self.store, found, self.now)
        base = self.repository.rev_parse(trunk)
        setting = Setting("s1", hash_referee({}), "data", "score", 5.0, Clock.WALL, "cpu")
        campaigns.start_campaign(
            self.store,
            NewCampaign(
                TAG, base, "score", Direction.LOWER, setting, Limits(), 1, False, 7, baseline_runs_for(devices),
                self.repository.current_branch() or "",
            ),
            self.now,
        )  # fmt: skip
        for _ in range(2):
            agents.add_agent(self.store, TAG, Role.JUNIOR, "offline", self.now)
        self.executor = Executor(self.lab, self.store, self.repository)
        self.settle()

    def snapshot(self) -> LabSnapshot:
        return read_snapshot(self.lab, self.store, self.now)

    def promotion(self, number: int) -> Promotion:
        return next(p for p in self.snapshot().promotions if p.number == number)

    def canvas(self, commit: str) -> list[str]:
        return self.repository.read_file(commit, "train.py").splitlines()

    def keep(
        self, agent: str, changes: dict[int, str], gain: float, *, settle: bool = True, adds: str = ""
    ) -> Experiment:
        """A keep of an agent on top of its incumbent; settled, it has its fresh runs too."""
        begun = experiments.begin_experiment(self.store, TAG, agent, self.now, without_hypothesis=True)
        assert begun is not None
        parent = self.experiment(begun).parent_commit
        lines = [changes.get(n, line) for n, line in enumerate(self.canvas(parent), start=1)]
        added = len(changes) + bool(adds)
        if adds:
            lines.insert(min(changes), adds)
        commit = self.commit(parent, lines, f"{agent} changes {sorted(changes)}")
        title = f"change line {min(changes)}"
        experiments.record_ready(
            self.store,
            TAG,
            begun,
            Draft(commit, title, "better", "{}", commit, added, len(changes)),
            self.now,
        )
        for run in self.experiment(begun).runs:
            assert runs.take_lease(self.store, run.id, "cpu:0", self.now)
            self.finish(self.run(run.id))
        judgement = Judgement(Verdict.KEEP, "better", gain, gain - SD, gain + SD, 0.99)
        experiments.record_verdict(self.store, TAG, begun, judgement, self.now, new_incumbent=True)
        if settle:
            self.settle()
        return self.experiment(begun)

    def commit(self, parent: str, lines: list[str], message: str) -> str:
        scratch = self.lab.state_dir / "scratch"
        if not scratch.exists():
            git(self.lab.root, "worktree", "add", "-q", "--detach", str(scratch), parent)
        git(scratch, "checkout", "-q", "--detach", "--force", parent)
        (scratch / "train.py").write_text("\n".join(lines) + "\n")
        return self.repository.commit_worktree(scratch, ["train.py"], message, "junior")

    def person_commits(self, changes: dict[int, str], name: str = "train.py") -> str:
        lines = [changes.get(n, line) for n, line in enumerate(LINES, start=1)]
        (self.lab.root / name).write_text("\n".join(lines) + "\n")
        git(self.lab.root, "add", "-A")
        git(self.lab.root, "commit", "-q", "-m", "by the person")
        return self.repository.rev_parse("main")

    def experiment(self, identifier: str) -> Experiment:
        found = self.snapshot().experiment(identifier)
        assert found is not None
        return found

    def run(self, identifier: str) -> Run:
        found = self.snapshot().run(identifier)
        assert found is not None
        return found

    def ask(self, *names: str) -> Promotion:
        return request_promotion(self.lab, self.store, self.repository, names, self.now)

    def stop(self, state: CampaignState = CampaignState.FINISHED) -> None:
        campaigns.set_campaign_state(self.store, TAG, state, "enough", self.now)

    def act(self) -> bool:
        """Everything that the policy wants once; starting a run is taking its lease."""
        snapshot = self.snapshot()
        changed = False
        for action in next_actions(snapshot, DecideRules()):
            self.now += 0.1
            if isinstance(action, StartRun):
                changed |= runs.take_lease(self.store, action.run_id, action.device_id, self.now)
            else:
                changed |= self.executor.do(action, snapshot, self.now)
        return changed

    def settle(self, rounds: int = 400) -> LabSnapshot:
        """Act, and let trainings end, until nothing more happens."""
        for _ in range(rounds):
            changed = self.act()
            running = self.snapshot().running_runs()
            if running:
                self.finish(min(running, key=lambda run: run.started_at or 0.0))
            if not changed and not running:
                return self.snapshot()
        raise AssertionError("it does not come to rest")

    def is_over(self) -> bool:
        return is_over(self.snapshot())

    def finish(self, run: Run) -> None:
        experiment = self.experiment(run.experiment_id)
        assert experiment.commit is not None
        lines = self.canvas(experiment.commit)
        ending = self.ending_of(experiment)
        measured = ending is RunEnding.MEASURED
        self.now += 1
        metric = 10.0 - sum(self.worth.get(line, 0.0) for line in lines) + self.random.gauss(0, SD)
        held = (
            10.2 - sum((self.worth | self.held).get(line, 0.0) for line in lines) + self.random.gauss(0, SD)
        )
        outcome = RunOutcome(
            run_id=run.id, ending=ending, reason="" if measured else f"it {ending}",
            metric=metric if measured else None, holdout=held if measured and self.holdout else None,
            started_at=self.now - 20, finished_at=self.now, training_s=20.0, total_s=25.0, cpu_s=22.0,
            cpu_per_wall=1.0, peak_memory_mb=400.0, tokens=40_000,
        )  # fmt: skip
        assert runs.finish_run(self.store, TAG, run.id, outcome)
