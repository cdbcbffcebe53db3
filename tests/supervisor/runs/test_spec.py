"""What a run is told, and what it must show: the spec that the supervisor writes."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sessions.runs.contract import Expected
from sessions.sandbox.run_sandbox import Confinement, probe
from supervisor.lab.config import ChecksSection, LabConfig, LabSection
from supervisor.lab.paths import Lab, Layout, sealed_data
from supervisor.model.experiment import Run
from supervisor.model.states import Clock, RunKind, RunState
from supervisor.runs import spec
from supervisor.runs.checks import failed_check
from tests.worlds.fast_motion import SETTING


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    config = LabConfig(lab=LabSection(editable=("training/train.py", "training/model.py")))
    return Lab(tmp_path, tmp_path / ".autoresearch", config, Layout.OURS, has_referee=True)


@pytest.mark.parametrize("kind", RunKind)
def test_only_baselines_and_verifications_measure_the_holdout(kind: RunKind, lab: Lab) -> None:
    assert spec.holdout_for(lab, "ab12", kind) is None, "there is none"
    lab.holdout_dir.mkdir(parents=True)
    sealed = lab.holdout_dir / "ab12.bin"
    sealed.write_bytes(b"xx")
    asked = kind in (RunKind.BASELINE, RunKind.VERIFICATION)
    assert spec.holdout_for(lab, "ab12", kind) == (sealed if asked else None)
    assert spec.holdout_for(lab, "cd34", kind) is None
    assert spec.holdout_for(dataclasses.replace(lab, has_referee=False), "ab12", kind) is None


def baseline_run(**seen: float) -> Run:
    run = Run("e0000.1", "e0000", RunKind.BASELINE, 1, 7, RunState.FINISHED, 0.0, metric=1.75)
    return dataclasses.replace(run, **seen)  # type: ignore[arg-type]


def test_what_a_run_must_show_is_what_the_baseline_showed(lab: Lab) -> None:
    assert spec.expected_of(lab, SETTING, ()) == Expected(data_fingerprint="data")
    runs = [
        baseline_run(starting_cpu_s=s, evaluating_cpu_s=1.0, evaluated_bytes=5000) for s in (2.0, 9.0, 3.0)
    ]
    assert spec.expected_of(lab, SETTING, runs) == Expected("data", 5000, 3.0, 1.0)
    odd = [*runs, baseline_run(evaluated_bytes=10)]
    assert spec.expected_of(lab, SETTING, odd).evaluated_bytes is None, "baselines that differ show nothing"
    assert spec.expected_of(dataclasses.replace(lab, has_referee=False), SETTING, runs) == Expected()


def test_whatever_runs_on_a_bench_is_kept_from_the_sealed_text(lab: Lab, tmp_path: Path) -> None:
    device, budget = spec.DevicePlace("cpu:0", (), {}), spec.Budget(1.0, Clock.CPU, 2.0)
    made = spec.spec_on_bench(lab, "e0001.1", tmp_path / "run", tmp_path, tmp_path, device, 7, budget)
    assert {sealed_data(), lab.root, lab.state_dir} <= set(made.hidden)


def test_checks_are_kept_from_the_sealed_text(
    make_repository: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if probe() not in (Confinement.BWRAP, Confinement.LANDLOCK):
        pytest.skip("nothing here confines what is read")
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "data" / "cache"))
    (sealed_data() / "holdout").mkdir(parents=True)
    (sealed_data() / "holdout" / "text.bin").write_text("nobody reads this")
    root = make_repository({"train.py": "X = 1\n"}, name="lab")
    command = f"cat {sealed_data() / 'holdout' / 'text.bin'}"
    config = LabConfig(
        lab=LabSection(editable=("train.py",), command="true", caches=(str(tmp_path / "data"),)),
        checks=ChecksSection(command=command),
    )
    checked = Lab(root, root / ".autoresearch", config, Layout.CUSTOM, has_referee=False)
    assert "text.bin" in failed_check(checked, root), "it could be read"


def test_checks_tell_no_secret_of_a_dotenv_and_leave_lfs_files_alone(
    make_repository: Callable[..., Path],
) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 5\n"
    files = {"train.py": "X = 1\n", ".gitignore": ".env\n", "w.bin": pointer}
    root = make_repository(files | {".gitattributes": "*.bin filter=lfs\n"}, name="lab")
    kept = root / ".git" / "lfs" / "objects" / "ab" / "ab" / ("ab" * 32)
    kept.parent.mkdir(parents=True)
    kept.write_text("12345")
    (root / ".env").write_text("SOME_TOKEN=tok-0123456789\n")
    section = LabSection(editable=("train.py",), command="true", copies=(".env",))

    def failed(command: str) -> str:
        config = LabConfig(lab=section, checks=ChecksSection(command=command))
        return failed_check(Lab(root, root / ".autoresearch", config, Layout.CUSTOM, has_referee=False), root)

    assert failed("grep -q 12345 w.bin") == ""
    assert failed("sh -c 'cat .env; exit 1'") == "SOME_TOKEN=[secret]"


def test_nothing_beside_the_script_stands_in_for_the_referee(lab: Lab, tmp_path: Path) -> None:
    referee, bench = tmp_path / "referee", tmp_path / "bench"
    for folder in (referee, bench / "training"):
        folder.mkdir(parents=True)
    (referee / "prepare.py").write_text("WHOSE = 'ours'")
    (bench / "training" / "prepare.py").write_text("WHOSE = 'theirs'")
    (bench / "training" / "model.py").write_text("")
    script = bench / "training" / "train.py"
    script.write_text("import model, prepare; print(prepare.WHOSE)")
    env = spec.training_env(lab, referee, bench, "cpu:0")
    done = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, timeout=30)
    assert done.stdout == "ours\n", done.stderr
