"""What a junior hands over: guarded, audited, checked, and kept whatever comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sessions.git.repository import Repository
from supervisor.campaign.launch import open_campaign
from supervisor.campaign.options import LaunchOptions
from supervisor.drafts.guard import GuardRule
from supervisor.drafts.junior_workspace import JuniorWorkspace
from supervisor.errors import ConfigError
from supervisor.lab.paths import find_lab
from supervisor.model.experiment import Experiment
from supervisor.model.records import Draft, Judgement
from supervisor.model.states import ExperimentState, Verdict
from supervisor.store import experiments
from supervisor.store.connection import Store
from tests.worlds.labs import make_toy_lab

Edit = Callable[[Path], object]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_toy_lab(tmp_path / "lab").root


def workspace_of(root: Path, config: str = "") -> JuniorWorkspace:
    with (root / "autoresearch.toml").open("a") as file:
        file.write(config)
    lab = find_lab(root)
    campaign = open_campaign(lab, LaunchOptions(juniors=1, devices="cpu:0"), lambda _: None)
    return JuniorWorkspace(lab, Store(lab.db), Repository(root), campaign.tag, "junior-1")


def handed_over(workspace: JuniorWorkspace, edit: Edit) -> tuple[GuardRule | None, Experiment]:
    identifier = workspace.begin(without_hypothesis=True)
    experiment = workspace.snapshot().experiment(identifier)
    assert experiment is not None
    edit(workspace.reset_to_parent(experiment) / "train.py")
    refusal = workspace.hand_over(experiment, Draft("", "an edit", "better", "", "", 0, 0))
    after = workspace.snapshot().experiment(identifier)
    assert after is not None
    return refusal.rule if refusal else None, after


def putting(old: str, new: str) -> Edit:
    return lambda file: file.write_text(file.read_text().replace(old, new, 1))


def test_an_honest_edit_is_ready_and_unflagged(root: Path) -> None:
    rule, experiment = handed_over(workspace_of(root), putting("X = 8.0", "X = 7.0"))
    assert rule is None
    assert experiment.state is ExperimentState.READY
    assert experiment.flags == ()


def test_what_looks_like_gaming_is_flagged_with_its_line_and_runs(root: Path) -> None:
    rule, experiment = handed_over(workspace_of(root), putting("X = 8.0", "import socket\nX = 7.0"))
    assert rule is None
    (flag,) = experiment.flags
    assert (flag.rule, flag.path, flag.line, flag.excerpt) == ("network", "train.py", 3, "import socket")


def test_a_lab_makes_a_rule_hard(root: Path) -> None:
    workspace = workspace_of(root, '[audit]\nhard = ["network"]\n')
    rule, experiment = handed_over(workspace, putting("X = 8.0", "import socket\nX = 7.0"))
    assert rule is GuardRule.LOOKS_LIKE_GAMING
    assert experiment.verdict is Verdict.REJECTED
    assert experiment.reason == "looks like gaming: network at train.py:3: import socket"
    assert experiment.flags
    assert "import socket" in workspace.diff_of(experiment)  # the diff is kept


def test_a_lab_turns_a_rule_off(root: Path) -> None:
    workspace = workspace_of(root, '[audit]\nallow = ["network"]\n')
    _, experiment = handed_over(workspace, putting("X = 8.0", "import socket\nX = 7.0"))
    assert experiment.flags == ()


def test_an_unknown_rule_is_one_line_that_names_the_known(root: Path) -> None:
    with (root / "autoresearch.toml").open("a") as file:
        file.write('[audit]\nhard = ["netwerk"]\n')
    with pytest.raises(ConfigError, match=r"netwerk.*there are referee-internals, "):
        find_lab(root)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import train", ""),
        ("import train; train.X < 8 and exit('the loss is not convex')", "the loss is not convex"),
        ("import train; train.X < 8 and open('train.py', 'a').write('X = 0')", "they changed train.py"),
        ("import time, train; train.X < 8 and time.sleep(60)", "no end after 3 s"),
    ],
)
def test_the_labs_checks_must_pass(root: Path, code: str, reason: str) -> None:
    workspace = workspace_of(root, f'[checks]\ncommand = """{{python}} -c "{code}" """\ntimeout_s = 3\n')
    rule, experiment = handed_over(workspace, putting("X = 8.0", "X = 7.0"))
    assert rule is (GuardRule.CHECKS_FAILED if reason else None), experiment.reason
    assert reason in experiment.reason
    if not reason:
        assert experiment.state is ExperimentState.READY


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda f: (f.chmod(0o755), putting("X = 8.0", "X = 7.0")(f)), GuardRule.MODE_CHANGED),
        (lambda f: (f.unlink(), f.symlink_to("/etc/hostname")), GuardRule.NOT_A_FILE),
        (lambda f: f.write_bytes(b"X = '\xff'"), GuardRule.NOT_A_FILE),
        (lambda f: f.write_text("x = " + "(" * 50_000), GuardRule.DOES_NOT_PARSE),
        (lambda f: f.write_text("x = " + "-" * 200_000 + "1"), GuardRule.DOES_NOT_PARSE),
        (lambda f: f.with_name("helper.py").write_text("x = 1"), GuardRule.PROTECTED_PATH),
        (lambda f: (f.parent / "README.md").write_text("other"), GuardRule.PROTECTED_PATH),
        (
            putting("X = 8.0", '"""A text that does nothing."""\nX = 8.0  # and a comment'),
            GuardRule.UNCHANGED,
        ),
    ],
)
def test_hard_rules_refuse_before_a_device_is_spent(root: Path, edit: Edit, expected: GuardRule) -> None:
    rule, experiment = handed_over(workspace_of(root), edit)
    assert rule is expected, experiment.reason
    assert experiment.verdict is Verdict.REJECTED
    assert experiment.runs == ()


def allowing(root: Path, *globs: str) -> JuniorWorkspace:
    file = root / "autoresearch.toml"
    listed = ", ".join(f'"{glob}"' for glob in globs)
    file.write_text(file.read_text().replace("[lab]", f"[lab]\nnew_files = [{listed}]", 1))
    return workspace_of(root)


def adding(name: str, text: str) -> Edit:
    def edit(canvas: Path) -> None:
        file = canvas.parent / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    return edit


def test_a_lab_allows_new_files_by_glob(root: Path) -> None:
    workspace = allowing(root, "kernels/*.cu", "helper*.py")
    rule, experiment = handed_over(workspace, adding("helper_a.py", "import socket\n"))
    assert rule is None and experiment.state is ExperimentState.READY
    assert [(flag.rule, flag.path) for flag in experiment.flags] == [("network", "helper_a.py")]
    assert "+import socket" in workspace.diff_of(experiment)
    again, _ = handed_over(workspace, adding("helper_a.py", "import socket  # the same\n"))
    assert again is GuardRule.TRIED_BEFORE
    rule, experiment = handed_over(workspace, adding("kernels/add.cu", "__global__ void add() {}\n"))
    assert rule is None and workspace.repository.read_file(experiment.commit or "", "kernels/add.cu")


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (adding("other.py", "x = 1\n"), GuardRule.PROTECTED_PATH),
        (adding("kernels/deep.py", "x = 1\n"), GuardRule.PROTECTED_PATH),  # * stops at a slash
        (adding("helper_random.py", "x = (\n"), GuardRule.DOES_NOT_PARSE),
        (adding("random.py", "def gauss(*a): return -9\n"), GuardRule.PROTECTED_PATH),
        (lambda f: f.with_name("helper_x.py").symlink_to("/etc/hostname"), GuardRule.NOT_A_FILE),
        (
            lambda f: (adding("helper_x.py", "x = 1\n")(f), f.with_name("helper_x.py").chmod(0o755)),
            GuardRule.MODE_CHANGED,
        ),
        (lambda f: f.unlink(), GuardRule.NOT_A_FILE),
    ],
)
def test_new_files_are_held_to_the_same_rules(root: Path, edit: Edit, expected: GuardRule) -> None:
    rule, experiment = handed_over(allowing(root, "helper*.py", "random.py"), edit)
    assert rule is expected, experiment.reason


def test_a_new_file_that_was_kept_can_be_changed_and_removed(root: Path) -> None:
    workspace = allowing(root, "helper*.py")
    _, first = handed_over(workspace, adding("helper.py", "x = 1\n"))
    record_keep(workspace, first)
    rule, second = handed_over(workspace, adding("helper.py", "x = 2\n"))
    assert rule is None and second.parent_commit == first.commit
    assert workspace.canvas(first.commit or "") == ("train.py", "helper.py")
    rule, third = handed_over(
        workspace, lambda f: (f.with_name("helper.py").unlink(), putting("8.0", "7.0")(f))
    )
    assert rule is None and "deleted file" in workspace.diff_of(third)


def record_keep(workspace: JuniorWorkspace, experiment: Experiment) -> None:
    judgement = Judgement(Verdict.KEEP, "better", 0.1, 0.05, 0.15, 0.99)
    experiments.record_verdict(
        workspace.store, workspace.tag, experiment.id, judgement, time.time(), new_incumbent=True
    )
