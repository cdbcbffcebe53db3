"""What a broken canvas ends as, on the real referee and the real canvas: a verdict with its reason, never a hang."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sessions.git.repository import Repository
from supervisor.campaign.launch import open_campaign
from supervisor.campaign.options import LaunchOptions
from supervisor.drafts.junior_workspace import JuniorWorkspace
from supervisor.loop.supervise import Loop
from supervisor.model.experiment import Experiment
from supervisor.model.records import Draft
from supervisor.model.states import Verdict, Wanted
from supervisor.store import agents
from supervisor.store.connection import Store
from tests.worlds.labs import make_small_lab

pytestmark = pytest.mark.timeout(400)
CANVAS = "training/train.py"


@dataclass(frozen=True)
class Broken:
    """A way to break the canvas, and what must come of it."""

    old: str
    new: str
    verdict: Verdict
    reason: str


TOP = "\nimport torch\n"
BROKEN = {
    "syntax error": Broken(TOP, "\nimport torch(\n", Verdict.REJECTED, "does not parse"),
    "exception": Broken(TOP, f"{TOP}undefined_name\n", Verdict.CRASH, "NameError: name 'undefined_name'"),
    "hang": Broken(TOP, f"{TOP}while True:\n    time.sleep(1)\n", Verdict.TIMEOUT, "no result after"),
    "nan": Broken("prepare.watch(loss)", "prepare.watch(loss * float('nan'))", Verdict.CRASH, "nan"),
    "no result": Broken(TOP, f"{TOP}raise SystemExit(0)\n", Verdict.CRASH, "without a result"),
    "out of memory": Broken(TOP, f"{TOP}torch.zeros(10**15)\n", Verdict.CRASH, "memory"),
    "no causal mask": Broken("is_causal=mask is None", "is_causal=False", Verdict.REJECTED, "causality"),
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Experiment]]:
    """Every broken canvas, handed over by hand and judged by the real supervisor."""
    lab = make_small_lab(
        tmp_path_factory.mktemp("broken") / "lab", timeout_s=40
    )  # the hang waits for half of it
    campaign = open_campaign(lab, LaunchOptions(juniors=1, devices="cpu:0,cpu:1"), lambda _: None)
    loop = Loop(lab)
    names = tuple(agent.name for agent in loop.look().agents)
    agents.want_agents(loop.store, campaign.tag, names, Wanted.STOPPED, time.time())
    workspace = JuniorWorkspace(lab, Store(lab.db), Repository(lab.root), campaign.tag, "junior-1")
    begun = {name: hand_over(workspace, broken) for name, broken in BROKEN.items()}
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        snapshot = loop.tick(time.time())
        found = {name: snapshot.experiment(identifier) for name, identifier in begun.items()}
        if all(experiment is not None and experiment.verdict for experiment in found.values()):
            break
        time.sleep(0.1)
    yield {name: experiment for name, experiment in found.items() if experiment is not None}
    loop.end_runs()


def hand_over(workspace: JuniorWorkspace, broken: Broken) -> str:
    identifier = workspace.begin(without_hypothesis=True)
    assert identifier is not None
    experiment = workspace.snapshot().experiment(identifier)
    assert experiment is not None
    file = workspace.reset_to_parent(experiment) / CANVAS
    text = file.read_text()
    assert broken.old in text
    file.write_text(text.replace(broken.old, broken.new, 1))
    workspace.hand_over(experiment, Draft("", "broken", "it breaks", "", "", 0, 0))
    return identifier


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_canvas_is_a_verdict_with_its_reason(verdicts: dict[str, Experiment], name: str) -> None:
    experiment, broken = verdicts[name], BROKEN[name]
    assert (experiment.verdict, experiment.metric) == (broken.verdict, None), experiment.reason
    assert broken.reason in experiment.reason.lower() or broken.reason in experiment.reason
    assert "\n" not in experiment.reason
