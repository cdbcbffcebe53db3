"""Running canvases for real."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TRAIN = Path(__file__).resolve().parents[2] / "training" / "train.py"


@pytest.fixture(scope="session")
def train_text() -> str:
    return TRAIN.read_text()


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
        driver = Path(__file__).resolve().parents[1] / "canvas" / "smoke.py"
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
