"""Reading a reason and a metric out of a program's last words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sessions.runs.log import failure_reason

CHAINED = """
try:
    {}["x"]
except KeyError:
    raise RuntimeError("shapes differ:\\n  [3] and [4]")
"""
IN_A_LIBRARY = "import json\njson.loads('nope')"
LATE_NOISE = "import atexit, sys\natexit.register(lambda: print('cleaning up', file=sys.stderr))\n1 / 0"


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("x = foo", "NameError: name 'foo' is not defined (train.py:1)"),
        ("\nif True\n  pass", "SyntaxError: expected ':' (train.py:2)"),
        (CHAINED, "RuntimeError: shapes differ: (train.py:5)"),
        (
            IN_A_LIBRARY,
            "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0) (train.py:2)",
        ),
        (LATE_NOISE, "ZeroDivisionError: division by zero (train.py:3)"),
        ("import sys; sys.exit('no data: run prepare.py')", "no data: run prepare.py"),
        ("assert 1 == 2", "AssertionError (train.py:1)"),
        ("print('step 1\\rstep 2\\r', end=''); print('\\x1b[31mbad\\x1b[0m'); exit(1)", "bad"),
        ("exit(1)", ""),
    ],
)
def test_the_reason_is_one_line_that_helps(program: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert failure_reason(done.stdout) == reason


def test_a_reason_stays_short_and_keeps_its_place() -> None:
    frame = 'Traceback (most recent call last):\n  File "/bench/train.py", line 7, in f\n    x\n'
    text = f"{frame}ValueError: {'y' * 5000}\n"
    assert len(failure_reason(text)) <= 300
    assert failure_reason(text).endswith("… (train.py:7)")
