"""`doctor` and `init` from the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sessions.devices.discovery import discover
from supervisor.lab.paths import Lab
from supervisor.lab.presets import fitting_preset
from tests.worlds.command_lines import Run
from tests.worlds.fake_nvml import LOST, Card, FakeNvml
from tests.worlds.fast_motion import World
from tui.doctor import lab_checks as checkup
from tui.doctor.check import Health


def checks(run: Run, *words: str) -> tuple[int, dict[str, dict[str, str]]]:
    """The doctor's exit code and findings by name."""
    result = run("doctor", "--json", *words)
    answer = json.loads(result.out)
    assert answer["schema"] == 1
    assert answer["healthy"] == (result.code == 0)
    return result.code, {check["name"]: check for check in answer["checks"]}


@pytest.fixture(autouse=True)
def small_probe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Importing torch takes seconds; its answer is stood in for. Nobody prepared data here before."""
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "no-data"))
    monkeypatch.setattr(checkup, "TORCH_PROBE", "print('[\"2.13.0\", false]')")


def test_a_whole_lab_is_healthy(run: Run, lab: Lab) -> None:
    code, found = checks(run)
    assert code == 0, found
    pieces = "python git tmux devices preset sandbox lab training guarantees data state supervisor worktrees".split()
    assert set(found) == {*pieces, "backend offline"}
    assert found["training"]["found"].startswith("torch 2.13.0, no CUDA")
    assert "autoresearch-tui init DIR --preset " in found["preset"]["found"]
    assert found["data"]["health"] == "warning"
    assert found["data"]["mend"].endswith(" prepare.py")


def test_what_is_missing_has_the_line_that_mends_it(
    run: Run, lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("git", "apt-get"):
        path = shutil.which(name)
        (tmp_path / name).symlink_to(path or sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    code, found = checks(run)
    assert code == 1
    assert found["tmux"] == {
        "name": "tmux",
        "health": "bad",
        "found": "not installed",
        "mend": "sudo apt-get install -y tmux",
    }


def test_a_lab_without_torch_is_told(run: Run, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "TORCH_PROBE", "import a_torch_that_is_not_there")
    code, found = checks(run)
    assert (code, found["training"]["health"]) == (1, "bad")
    assert " -m pip install torch" in found["training"]["mend"]


def test_a_dead_supervisor_of_a_running_campaign_is_bad(run: Run, lab: Lab, world: World) -> None:
    code, found = checks(run)
    assert code == 1
    assert found["supervisor"]["mend"] == "autoresearch-tui launch"


def test_stale_worktrees_and_locks_are_found(run: Run, lab: Lab, git: Callable[..., str]) -> None:
    (lab.root / ".git" / "index.lock").write_text("")
    assert "index.lock" in checks(run)[1]["worktrees"]["found"]
    (lab.root / ".git" / "index.lock").unlink()
    worktree = lab.worktrees_dir / "junior-1"
    from sessions.git.repository import Repository
    from sessions.git.worktrees import Worktrees

    Worktrees(Repository(lab.root), lab.worktree_lock).reset(
        worktree, git(lab.root, "rev-parse", "HEAD").strip()
    )
    assert checks(run)[1]["worktrees"]["health"] == Health.GOOD
    shutil.rmtree(worktree)
    assert checks(run)[1]["worktrees"]["mend"] == "git worktree prune"


def test_gpus_are_looked_at_one_by_one(run: Run, lab: Lab, fake_nvml: FakeNvml) -> None:
    slices = [("MIG-1", "NVIDIA A100 MIG 1g.5gb", 5)]
    fake_nvml.gpus = [
        Card("GPU-a", "NVIDIA H200", 141, temperature_c=61),
        Card("GPU-b", "NVIDIA A100", 40, slices=slices),
        Card("GPU-c", "NVIDIA H200", 141, ecc=3),
        Card("GPU-d", "NVIDIA H200", 141, error=LOST),
    ]
    with subprocess.Popen(["sleep", "60"]) as neighbour:
        fake_nvml.processes = [("GPU-a", neighbour.pid, 2048)]
        fake_nvml.write()
        said = [
            c for c in json.loads(run("doctor", "--json").out)["checks"] if c["name"] in ("gpu", "driver")
        ]
        neighbour.kill()
    driver, lost, shared, cut, broken = said
    assert driver["found"] == "NVIDIA 555.42, 3 to train on"
    assert (lost["health"], lost["found"]) == ("bad", "GPU 3: GPU is lost")
    assert "GPU 0: NVIDIA H200, GPU-a; 0 % 0/141 GB 61°; shared with sleep (pid " in shared["found"]
    assert shared["health"] == "warning" and "share_devices" in shared["mend"]
    assert cut["found"].startswith("a slice of GPU 1: NVIDIA A100 MIG 1g.5gb, MIG-1")
    assert broken["health"] == "bad" and "3 uncorrectable memory errors" in broken["found"]


def test_without_a_lab_the_machine_is_looked_at_all_the_same(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, found = checks(run)
    assert code == 1
    assert found["python"]["health"] == "good"
    assert found["lab"]["mend"] == "autoresearch-tui init"


def test_for_people_every_check_is_a_line(run: Run, lab: Lab) -> None:
    said = run("doctor").out
    assert "✓ lab        " in said
    assert "! data       not prepared" in said


def test_init_says_what_it_made_and_what_is_next(run: Run, tmp_path: Path) -> None:
    result = run("init", str(tmp_path / "mylab"))
    assert result.code == 0
    assert f"a lab in {tmp_path / 'mylab'}: .gitignore, program.md" in result.out
    assert "`autoresearch-tui launch`" in result.out
    again = run("init", str(tmp_path / "mylab"))
    assert "wrote" in again.out
    assert "nothing was committed" in again.out
    assert run("init", str(tmp_path / "mylab")).err.startswith("autoresearch-tui: ")
    assert run("init", str(tmp_path / "x"), "--preset", "h900").err == (
        "autoresearch-tui: there is no preset 'h900'; known: h100, rtx-24gb, rtx-8gb, mps, cpu\n"
    )


def test_init_sets_a_new_lab_to_this_machine_or_as_it_is_told(run: Run, tmp_path: Path) -> None:
    assert f"preset {fitting_preset(discover(None)).name}: " in run("init", str(tmp_path / "here")).out
    told = json.loads(run("init", str(tmp_path / "big"), "--preset", "h100", "--json").out)
    assert told["preset"] == "h100"
    assert 'DATA_SOURCE = "climbmix"' in (tmp_path / "big" / "prepare.py").read_text()
    assert "DEPTH = 8" in (tmp_path / "big" / "training" / "train.py").read_text()
    refused = run("init", str(tmp_path / "big"), "--preset", "h100")
    assert refused.code == 1 and "code of its own" in refused.err


def test_what_thinks_is_looked_at_and_no_key_is_shown(
    run: Run, lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (lab.root / "autoresearch.toml").open("a") as file:
        file.write(
            '[agents]\nchief = { backend = "anthropic" }\n'
            'junior = [{ backend = "claude" }, { backend = "codex" }, { backend = "nobody" }]\n'
        )
    client = tmp_path / "bin" / "claude"
    client.parent.mkdir()
    client.write_text("#!/bin/sh\necho 2.1.197\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{client.parent}:/usr/bin:/bin")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-very-secret")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    result = run("doctor", "--json")
    found = {check["name"]: check for check in json.loads(result.out)["checks"]}
    assert found["backend anthropic"]["found"] == "the Messages API; key in ANTHROPIC_API_KEY"
    assert found["backend claude"]["found"] == "claude 2.1.197; key in ANTHROPIC_API_KEY"
    assert found["backend codex"]["mend"] == "npm install -g @openai/codex"
    assert found["backend nobody"]["health"] == "bad" and result.code == 1
    assert "very-secret" not in result.out + result.err
