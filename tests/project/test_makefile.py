"""The Makefile on machines that this one is not: no GPU, an old Python, no tmux."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
TOOLS = (
    "bash",
    "sh",
    "make",
    "env",
    "find",
    "grep",
    "id",
    "tail",
    "mkdir",
    "uname",
    "touch",
    "rm",
    "cat",
    "sed",
)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A PATH that holds a few basic tools, and nothing else of this machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        path = shutil.which(name)
        assert path is not None, name
        (folder / name).symlink_to(path)
    return folder


def program(folder: Path, name: str, script: str) -> None:
    """Put a small shell program on the PATH."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def make(machine: Path, *words: str, cwd: Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
    """Run make on that machine."""
    return subprocess.run(
        ["make", *words],
        cwd=cwd,
        env={"PATH": str(machine), "HOME": os.environ["HOME"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The ground alone, without environment and stamps."""
    folder = tmp_path / "check out"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints-cpu.txt", "prepare.py"):
        shutil.copy(CHECKOUT / name, folder)
    for name in ("tui", "roles", "supervisor", "sessions", "training"):
        (folder / name).mkdir()
    for name in ("corpus.py", "train.py"):
        shutil.copy(CHECKOUT / "training" / name, folder / "training")
    (folder / "program.md").write_text("")
    return folder


def pip_installs(plan: str) -> list[str]:
    """The pip install lines of a dry run."""
    return [line for line in plan.splitlines() if re.search(r"-m pip .*\binstall\b", line)]


def test_without_a_gpu_every_install_is_constrained(machine: Path, checkout: Path) -> None:
    plan = make(machine, "--dry-run", "launch", "test", cwd=checkout)
    assert plan.returncode == 0, plan.stderr
    installs = pip_installs(plan.stdout)
    assert len(installs) == 4  # pip itself, dependencies, the tool, test tools
    for line in installs:
        assert "--constraint constraints-cpu.txt" in line
    assert not any("--editable" in line or " -e " in line for line in installs)
    assert (checkout / "constraints-cpu.txt").read_text().splitlines()[-1].startswith("torch==")


def test_a_driver_without_a_gpu_is_no_gpu(machine: Path, checkout: Path) -> None:
    program(machine, "nvidia-smi", "echo 'No devices were found'; exit 6")
    installs = pip_installs(make(machine, "--dry-run", "launch", cwd=checkout).stdout)
    assert installs
    assert all("--constraint" in line for line in installs)


def test_with_a_gpu_the_newest_torch_is_taken(machine: Path, checkout: Path) -> None:
    program(machine, "nvidia-smi", "echo 'GPU 0: NVIDIA H200 (UUID: GPU-1)'")
    installs = pip_installs(make(machine, "--dry-run", "launch", cwd=checkout).stdout)
    assert installs
    assert not any("--constraint" in line for line in installs)


def test_an_old_python_is_one_line_that_says_what_to_do(machine: Path, checkout: Path) -> None:
    program(machine, "python3", "[ \"$1\" = --version ] && echo 'Python 3.9.2' && exit 0; exit 1")
    result = make(machine, "tool", cwd=checkout)
    assert result.returncode == 2
    assert (
        "needs Python 3.11 or newer (python3: Python 3.9.2); install one and say 'make PYTHON="
        in result.stderr
    )
    assert not (checkout / ".venv").exists()


def test_root_gets_tmux_installed(machine: Path, checkout: Path) -> None:
    (machine / "id").unlink()
    program(machine, "id", "echo 0")
    program(machine, "apt-get", f'echo "$@" >> "{machine}/asked"; printf "#!/bin/sh\\n" > "{machine}/tmux"')
    result = make(machine, "tmux", cwd=checkout)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "· tmux (apt-get install -y tmux)\n"
    assert (machine / "asked").read_text() == "install -y tmux\n"


def test_an_old_package_list_is_updated_once(machine: Path, checkout: Path) -> None:
    (machine / "id").unlink()
    program(machine, "id", "echo 0")
    program(
        machine,
        "apt-get",
        f'echo "$@" >> "{machine}/asked"; [ "$1" = update ] && exit 0; [ "$(grep -c . "{machine}/asked")" = 3 ]',
    )
    assert make(machine, "tmux", cwd=checkout).returncode == 0
    assert (machine / "asked").read_text().split("\n")[:3] == ["install -y tmux", "update", "install -y tmux"]


def test_who_may_not_install_tmux_is_told_the_line(machine: Path, checkout: Path) -> None:
    (machine / "id").unlink()
    program(machine, "id", "echo 1000")
    program(machine, "sudo", "exit 1")
    program(machine, "dnf", f'touch "{machine}/asked"')
    result = make(machine, "tmux", cwd=checkout)
    assert result.returncode == 2
    assert "tmux is missing: sudo dnf install -y tmux\n" in result.stderr
    assert not (machine / "asked").exists()


def test_a_tmux_that_is_there_is_left_alone(machine: Path, checkout: Path) -> None:
    program(machine, "tmux", "exit 0")
    result = make(machine, "tmux", cwd=checkout)
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize(
    ("status", "line"), [(0, "=== 3 passed in 1.20s ==="), (2, "=== 1 failed, 2 passed in 1.20s ===")]
)
def test_ci_ends_with_pytests_closing_line_and_its_status(
    machine: Path, tmp_path: Path, status: int, line: str
) -> None:
    for name in ("dirname", "mktemp", "tee"):
        (machine / name).symlink_to(shutil.which(name) or name)
    (machine / "make").unlink()
    program(
        machine,
        "make",
        f"[ $1 = test ] || exit 9; echo '{line}'; echo 'make: said something more'; exit {status}",
    )
    folder = tmp_path / "checkout" / ".ci"
    folder.mkdir(parents=True)
    shutil.copy(CHECKOUT / ".ci/run", folder)
    answer = subprocess.run(
        ["bash", str(folder / "run")],
        env={"PATH": str(machine), "CI": "true"}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert answer.returncode == status
    assert answer.stdout.splitlines()[-1] == line
