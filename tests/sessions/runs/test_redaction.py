"""Secrets that a run is given: they reach it and stand in no file."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessions.runs.log import RunLog
from sessions.runs.redaction import Redactor, secrets_in

KEY = "sk-0123456789"


def test_what_is_secret_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"# x\nexport OTHER_TOKEN='tok-{KEY}'\nPORT=80808080\nSHORT_KEY=ab\n")
    environment = {"MY_API_KEY": KEY, "DATA_DIR": "/data/somewhere"}
    found = secrets_in(environment, [tmp_path / ".env", tmp_path / "absent"])
    assert set(found) == {KEY, f"tok-{KEY}"}


@pytest.mark.parametrize("cut", range(0, 24, 3))
def test_a_secret_in_two_pieces_is_taken_out_as_well(tmp_path: Path, cut: int) -> None:
    output = f"key={KEY} score: 1\nsk-01".encode()
    log = RunLog(tmp_path / "run.log", 1000, Redactor([KEY]))
    log.write(output[:cut])
    log.write(output[cut:])
    assert log.tail() == "key=[secret] score: 1\nsk-01"
    log.close()
    assert (tmp_path / "run.log").read_text() == log.tail()
