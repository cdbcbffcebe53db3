"""`gc` frees what nothing stands on, and says what and how much."""

from __future__ import annotations

import json
from pathlib import Path

from supervisor.lab.paths import Lab
from tests.worlds.command_lines import Run
from tests.worlds.fast_motion import World

LOG = b"x" * 40_000


def with_logs(lab: Lab, world: World) -> dict[str, Path]:
    files = {}
    for experiment in world.snapshot().experiments:
        file = lab.runs_dir / experiment.id / "run-1" / "run.log"
        file.parent.mkdir(parents=True)
        file.write_bytes(LOG)
        files[experiment.id] = file
    return files


def test_logs_go_where_nothing_was_kept(run: Run, lab: Lab, played: World) -> None:
    files = with_logs(lab, played)
    kept = {e.id for e in played.snapshot().experiments if e.verdict in ("keep", "baseline")}
    would = json.loads(run("gc", "--dry-run", "--json").out)
    assert would["freed_bytes"] >= len(LOG) * (len(files) - len(kept))
    assert all(file.is_file() for file in files.values())
    said = run("gc").out
    assert "freed " in said
    assert "kB (" in said
    assert {identifier for identifier, file in files.items() if file.is_file()} == kept
    assert "There is nothing to free." in run("gc").out


def test_a_campaign_under_way_keeps_everything(run: Run, lab: Lab, world: World) -> None:
    files = with_logs(lab, world)
    said = run("gc").out
    assert "its benches and logs stay" in said
    assert all(file.is_file() for file in files.values())
