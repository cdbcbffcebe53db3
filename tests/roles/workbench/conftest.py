"""Labs for the tests of what clients may do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worlds.interactive import ToyLab, launched, measuring


@pytest.fixture
def toy(tmp_path: Path) -> ToyLab:
    """One interactive junior; nothing is measured."""
    return launched(tmp_path / "lab")


@pytest.fixture
def measured(toy: ToyLab) -> Iterator[ToyLab]:
    """As `toy`, and the supervisor measures."""
    with measuring(toy):
        yield toy
