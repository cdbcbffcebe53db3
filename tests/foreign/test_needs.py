"""Labs that need more than a commit has, from docs/labs.md as their users would start them: init, then launch."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from sessions.sandbox.run_sandbox import Confinement, probe
from supervisor.lab.paths import find_lab
from tests.worlds.labs import git
from tests.worlds.labs_page import examples, make, small_model
from tests.worlds.live import LiveLab, live
from tui.commands.command_line import run_command_line

EXAMPLES = {example.title: example for example in examples()}
LAUNCH = ("launch", "--headless", "--juniors", "1", "--experiments", "1", "--tag", "t")
pytestmark = pytest.mark.timeout(120)


Launched = Callable[..., AbstractContextManager[tuple[LiveLab, str]]]


@pytest.fixture
def launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launched:
    """Makes the example of that title, as the page has it, and launches it; yields the lab and what was said."""

    @contextmanager
    def launch(title: str, *words: str) -> Iterator[tuple[LiveLab, str]]:
        example = EXAMPLES[title]
        root = make(example, tmp_path)
        for command in example.commands[:-1]:
            root /= command.removeprefix("cd ")
        monkeypatch.chdir(root)
        assert run_command_line([*shlex.split(example.commands[-1])[1:], *words]) == 0
        with live(find_lab(root)) as lab:
            done = lab.cli(*LAUNCH)
            yield lab, done.stdout + done.stderr

    return launch


def test_packages_and_data_that_git_ignores(launched: Launched) -> None:
    if not shutil.which("node"):
        pytest.skip("there is no node here")
    # As its script says it: npm itself takes longer than all the rest.
    with launched("A project with packages and data that git ignores", "--command", "node bench.js") as made:
        lab, said = made
        end = lab.snapshot()
        ignored = lab.lab.root / "node_modules" / "distance" / "index.js"
    measured = [e for e in end.experiments if e.metric is not None]
    assert len(measured) >= 2, said
    assert "all " in said and "one run at a time" in said
    assert ignored.is_file() and git(lab.lab.root, "status", "--porcelain").split() == [
        "??",
        "autoresearch.toml",
    ]


def test_a_folder_of_a_bigger_repository(launched: Launched) -> None:
    with launched("A folder of a bigger repository") as (lab, said):
        end = lab.snapshot()
    top, folder = lab.lab.top, "projects/knapsack"
    assert lab.lab.root == top / folder and not (top / ".autoresearch").exists()
    assert sum(e.metric is not None for e in end.experiments) >= 2, said
    for experiment in end.experiments:
        if experiment.commit and experiment.agent:
            changed = git(top, "diff", "--name-only", experiment.parent_commit, experiment.commit).split()
            assert changed == [f"{folder}/solution.py"]
    assert git(top, "status", "--porcelain").split() == ["??", f"{folder}/autoresearch.toml"]


def test_an_agent_that_asks_a_model_of_this_machine(
    launched: Launched, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_model() as address:
        monkeypatch.setenv("MODEL_URL", address)
        with launched("An agent that asks a model") as (lab, said):
            end = lab.snapshot()
    baseline = end.experiment("e0000")
    assert baseline is not None and baseline.metric == 0.5, said
    assert max(e.metric for e in end.experiments if e.metric is not None) == 1.0, "a second example helps"


def test_a_server_that_the_sandbox_hides_is_told_with_its_key(
    launched: Launched, monkeypatch: pytest.MonkeyPatch
) -> None:
    if probe() is Confinement.NONE:
        pytest.skip("nothing here keeps runs off the network")
    with small_model() as address:
        monkeypatch.setenv("MODEL_URL", address)
        with launched("An agent that asks a model", "--network", "none") as (_, said):
            assert 'this machine\'s servers: [lab] network = "loopback"' in said
