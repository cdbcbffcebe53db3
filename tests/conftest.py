"""What every test stands on: a HOME, a git identity and tmux sockets of its own. Nothing of the person's is touched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.worlds.fake_nvml import FakeNvml, build

CHECKOUT = Path(__file__).resolve().parents[1]
# For processes that a test spawns: they import `tests.…` by name. Last, so that the tool is the installed one.
sys.path.append(str(CHECKOUT))
GIT_TIMEOUT_S = 30
OURS = {
    "program.md": "# What to research\n\nLower val_bpb.\n",
    "prepare.py": "# reports over AUTORESEARCH_CHANNEL\n",
    "training/train.py": "DEPTH = 4\n",
}
# A person's settings that would reach into a test.
FOREIGN = ("GIT_", "TMUX", "AUTORESEARCH_", "ANTHROPIC_", "OPENAI_", "XDG_")


@pytest.fixture(scope="session", autouse=True)
def private_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty HOME, and a short folder for tmux sockets whose servers end with the tests."""
    home = tmp_path_factory.mktemp("home")
    # A socket's path may have 100 characters; pytest's folders use them up.
    sockets = Path(tempfile.mkdtemp(prefix="ar-tmux-"))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(FOREIGN)]:
            patch.delenv(name)
        for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(home))
        patch.setenv("TMUX_TMPDIR", str(sockets))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        yield home
        _end_tmux_servers(sockets)
    shutil.rmtree(sockets, ignore_errors=True)


def _end_tmux_servers(folder: Path) -> None:
    if shutil.which("tmux"):
        for socket in folder.glob("tmux-*/*"):
            subprocess.run(
                ["tmux", "-S", str(socket), "kill-server"], capture_output=True, timeout=20, check=False
            )


@pytest.fixture(scope="session")
def nvml_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stand-in for the GPU driver's library lies, compiled and loaded."""
    folder = tmp_path_factory.mktemp("nvml")
    problem = build(folder)
    if problem:
        pytest.skip(problem)
    return folder


@pytest.fixture
def fake_nvml(nvml_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    """A machine without GPUs, until the test gives it some."""
    fake = FakeNvml(nvml_folder, tmp_path / "gpus.tsv")
    fake.write()
    monkeypatch.setenv("FAKE_NVML", str(fake.path))
    return fake


@pytest.fixture
def git() -> Callable[..., str]:
    """Run git in a folder and return what it prints: `git(folder, "status", "--short")`."""

    def run(folder: Path, *arguments: str) -> str:
        who = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")
        answer = subprocess.run(
            ["git", "-C", str(folder), *who, *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
        assert answer.returncode == 0, f"git {' '.join(arguments)}: {answer.stderr}"
        return answer.stdout

    return run


@pytest.fixture
def make_repository(tmp_path: Path, git: Callable[..., str]) -> Callable[..., Path]:
    """Make a repository with these files in one commit on main: `make_repository({"a.py": "…"}, name="x")`."""

    def make(files: dict[str, str], name: str = "repository") -> Path:
        root = tmp_path / name
        root.mkdir(parents=True)
        git(root, "init", "--quiet", "--initial-branch=main")
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "--message=start")
        return root

    return make


@pytest.fixture
def lab_root(make_repository: Callable[..., Path]) -> Path:
    """A committed lab of our layout whose files are only as long as they must be."""
    return make_repository(OURS, name="lab")


@pytest.fixture(scope="session")
def train_text() -> str:
    return (CHECKOUT / "training" / "train.py").read_text()


@pytest.fixture(scope="session")
def smoke_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the smoke runs keep their corpus; prepared once."""
    return tmp_path_factory.mktemp("smoke")


@pytest.fixture
def smoke(tmp_path: Path, smoke_cache: Path) -> Callable[[dict[str, str]], dict[str, dict[str, str]]]:
    """Runs canvases (by name, as text) and returns what each did (by name): `error` and `output`."""

    def run(canvases: dict[str, str]) -> dict[str, dict[str, str]]:
        paths = []
        for name, text in canvases.items():
            paths.append(tmp_path / f"{name}.py")
            paths[-1].write_text(text)
        driver = CHECKOUT / "tests" / "canvas" / "smoke.py"
        done = subprocess.run(
            [sys.executable, str(driver), str(smoke_cache), *map(str, paths)],
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        results = [json.loads(line) for line in done.stdout.splitlines()]
        return {Path(result["canvas"]).stem: result for result in results}

    return run
