"""What a lab of another kind can't give: said, and what follows from it. What it needs while it runs: given."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sessions.runs.confinement import make_private_home
from sessions.sandbox.filesystem_view import programs_on, python_homes
from supervisor.analysis.champion import with_analysis
from supervisor.analysis.noise import repeats_exactly
from supervisor.errors import LaunchError
from supervisor.lab.config import LabConfig, LabSection, guarantees_of
from supervisor.lab.paths import find_lab
from supervisor.lab.programs import lab_python
from supervisor.lab.uv_environment import make_environment, uses_uv, uv_readable
from supervisor.runs.checks import failed_check
from supervisor.runs.spec import training_env
from tests.worlds.fast_motion import World
from tests.worlds.foreign import auto_files, karpathy_files, pair_files, plant, tutorial_files
from tests.worlds.labs import make_toy_lab

CLI = str(Path(sys.executable).with_name("autoresearch-tui"))
OURS = guarantees_of(LabConfig(), has_referee=True)
PRINTED = guarantees_of(LabConfig(), has_referee=False)


def test_what_is_weaker_is_said() -> None:
    assert (OURS.weaker, OURS.line, OURS.explained) == ((), "", ())
    assert PRINTED.line == "weaker: printed metric, no seeds, no smoke run, no holdout"
    assert any("could print anything" in text for text in PRINTED.explained)
    seeded = guarantees_of(LabConfig(lab=LabSection(seed_env="SEED")), has_referee=False)
    assert "no seeds" not in seeded.line


@pytest.mark.parametrize(
    ("groups", "exact"),
    [
        ([[2.0] * 4], True),
        ([[2.0] * 3, [1.0] * 2], True),
        ([[2.0] * 3], False),
        ([[2.0] * 4, [1.0, 1.1]], False),
        ([[2.0], [1.0], [3.0], [4.0]], False),
        ([], False),
    ],
)
def test_exact_repeats_have_to_be_many_and_without_exception(groups: list[list[float]], exact: bool) -> None:
    assert repeats_exactly(groups) is exact


def test_without_seeds_exact_repeats_leave_no_noise_but_the_floor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.worlds.fast_motion.SD", 0.0)
    world = World(tmp_path, juniors=1)
    for _ in range(12):
        world.act()
        for run in world.running():
            world.finish(run)
    rows = world.snapshot()
    assert len([r for e in rows.experiments for r in e.runs if r.metric is not None]) >= 4
    ours, printed = with_analysis(rows, 0.0, OURS), with_analysis(rows, 0.0, PRINTED)
    assert ours.noise and printed.noise and printed.guarantees
    assert printed.noise.sd == pytest.approx(2e-6) and ours.noise.sd > 5e-4
    assert printed.guarantees.deterministic and "exact repeats" in printed.guarantees.line
    floored = with_analysis(rows, 0.25, PRINTED)
    assert floored.noise and floored.noise.sd == 0.25


def test_status_and_doctor_say_it(tmp_path: Path) -> None:
    lab = make_toy_lab(tmp_path / "lab")

    def say(*words: str) -> str:
        return subprocess.run([CLI, *words], cwd=lab.root, capture_output=True, text=True, check=False).stdout

    assert json.loads(say("status", "--json"))["guarantees"]["weaker"] == [
        "printed metric",
        "no smoke run",
        "no holdout",
    ]
    assert "printed metric" in say("doctor")


# What runs need


def test_the_persons_caches_are_found_in_the_home_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "person"
    cache = home / ".cache" / "autoresearch"
    cache.mkdir(parents=True)
    (cache / "shard").write_text("text")
    monkeypatch.setenv("HOME", str(home))
    private = make_private_home(tmp_path / "private", (cache, home, tmp_path / "elsewhere"))
    assert (Path(private["HOME"]) / ".cache" / "autoresearch" / "shard").read_text() == "text"
    shutil.rmtree(tmp_path / "private")
    assert (cache / "shard").exists()


def test_programs_on_the_search_path_open_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "person"
    (home / ".pyenv" / "shims").mkdir(parents=True)
    (home / "bin").mkdir()
    monkeypatch.setenv("HOME", str(home))
    path = os.pathsep.join(
        (str(home), str(home / "bin"), str(home / ".pyenv" / "shims"), "/usr/bin", "/bin", "relative")
    )
    found = programs_on(path)
    assert {home / "bin", home / ".pyenv"} <= found
    assert not any(home.is_relative_to(folder.resolve()) or folder == Path("/") for folder in found)
    assert Path("/") not in python_homes("/bin/python3")


def test_checks_may_build_and_what_they_leave_is_gone(tmp_path: Path) -> None:
    files = tutorial_files() | {
        "autoresearch.toml": '[lab]\neditable = ["train.py"]\ncommand = "{python} train.py"\n'
        '[checks]\ncommand = "./checks.sh"\n',
        "checks.sh": "#!/bin/sh\nset -e\necho built > built.txt\n"
        "grep -q DEGREE train.py || { echo no degree; exit 1; }\n",
    }
    lab = find_lab(plant(tmp_path / "lab", files))
    assert failed_check(lab, lab.root) == ""
    assert not (lab.root / "built.txt").exists()
    (lab.root / "train.py").write_text("nothing")
    assert failed_check(lab, lab.root) == "no degree"


@pytest.mark.parametrize(
    ("files", "evaluator"),
    [(karpathy_files(), "prepare.py"), (auto_files(), ".auto/measure.sh"), (pair_files(), "evaluate.py")],
)
def test_an_evaluator_is_not_the_agents_to_edit(
    files: dict[str, str], evaluator: str, tmp_path: Path
) -> None:
    from supervisor.drafts.guard import GuardRule, check_edit, hash_sources
    from supervisor.store.connection import Store

    canvas = next(name for name in ("train.py", "src/sorting.py", "solution.py") if name in files)
    sources = {canvas: files[canvas] + "\nNEW = 1\n"}
    store = Store(tmp_path / "lab.db")
    parent = hash_sources({canvas: files[canvas]})
    assert check_edit(store, "t", sources, parent, [canvas], [canvas]) is None
    refusal = check_edit(store, "t", sources, parent, [canvas, evaluator], [canvas])
    assert refusal is not None and refusal.rule is GuardRule.PROTECTED_PATH and evaluator in refusal.detail


# uv


def test_a_lab_without_uv_has_no_environment(tmp_path: Path) -> None:
    lab = make_toy_lab(tmp_path / "lab")
    assert not uses_uv(lab) and lab.uv_environment is None and uv_readable(lab) == ()


def test_uv_that_is_missing_is_named_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = find_lab(plant(tmp_path / "lab", karpathy_files(dependencies=())))
    monkeypatch.setenv("PATH", str(tmp_path))
    lab.state_dir.mkdir()
    with pytest.raises(LaunchError, match="pip install uv"):
        make_environment(lab, lab.root, print)


def test_runs_share_the_persons_environment_when_it_is_in_sync(tmp_path: Path, uv: None) -> None:
    lab = find_lab(plant(tmp_path / "lab", karpathy_files(dependencies=(), locked=True)))
    lab.state_dir.mkdir()
    make_environment(lab, lab.root, print)
    assert lab.uv_environment == lab.state_dir / "environment"
    assert not (lab.root / ".venv").exists()
    subprocess.run(["uv", "sync"], cwd=lab.root, check=True, capture_output=True)
    make_environment(lab, lab.root, print)
    assert lab.uv_environment == lab.root / ".venv"
    assert lab_python(lab) == str(lab.root / ".venv" / "bin" / "python")
    # An edited pyproject.toml installs nothing while it runs.
    env = training_env(lab, tmp_path, lab.root, "cpu:0") | {"HOME": str(tmp_path / "home")}
    project = lab.root / "pyproject.toml"
    project.write_text(project.read_text().replace("dependencies = [\n", 'dependencies = [\n    "torch",\n'))
    done = subprocess.run(
        ["uv", "run", "python", "-c", "import sys; print(sys.prefix)"],
        cwd=lab.root, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == str(lab.root / ".venv"), done.stderr
    assert dataclasses.replace(lab).root == lab.root
