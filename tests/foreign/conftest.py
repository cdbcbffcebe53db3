"""What the tests of foreign labs share: the real uv."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest


@pytest.fixture
def uv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The real uv by its name, alone on its own folder of the search path."""
    try:
        from uv import find_uv_bin

        program = find_uv_bin()
    except (ImportError, FileNotFoundError):
        pytest.skip("uv is not installed: pip install uv")
    folder = tmp_path / "programs"
    folder.mkdir()
    shutil.copy(program, folder / "uv")
    (folder / "uv").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_PYTHON", sys.executable)
