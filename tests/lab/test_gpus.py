"""A real supervisor's loop on two GPUs: only the driver's library is stood in for, runs and neighbour are real."""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessions.processes.tree import wait_until
from supervisor.campaign.launch import open_campaign
from supervisor.campaign.options import LaunchOptions
from supervisor.lab.paths import find_lab
from supervisor.loop.supervise import Loop
from supervisor.model.experiment import Run
from supervisor.model.states import RunState
from tests.worlds.fake_nvml import Card, FakeNvml
from tests.worlds.labs import TOY_CANVAS, make_toy_lab


@pytest.fixture
def loop(fake_nvml: FakeNvml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    fake_nvml.gpus = [Card("GPU-a", "NVIDIA H200", 141), Card("GPU-b", "NVIDIA H200", 141, minor=1)]
    fake_nvml.write()
    lab = make_toy_lab(tmp_path / "lab", TOY_CANVAS.replace("SECONDS = 0.5", "SECONDS = 1.5"))
    toml = lab.root / "autoresearch.toml"
    toml.write_text(toml.read_text().replace("[lab]", "[lab]\ncanary = false", 1))
    lab = find_lab(lab.root)
    open_campaign(lab, LaunchOptions(juniors=1), lambda _: None)
    loop = Loop(lab)
    loop.devices.watch._every_s = 0.05
    loop._agents_at = math.inf  # nobody thinks here
    yield loop
    loop.end_runs()
    loop.devices.stop()


def baseline_runs(loop: Loop) -> tuple[Run, ...]:
    baseline = loop.look().experiment("e0000")
    assert baseline is not None
    return baseline.runs


def ticking(loop: Loop, true: Callable[[], bool]) -> bool:
    def ticked() -> bool:
        loop.tick(time.time())
        return true()

    return wait_until(ticked, 40)


def test_a_neighbour_costs_an_attempt_and_no_score(loop: Loop, fake_nvml: FakeNvml) -> None:
    assert ticking(loop, lambda: any(run.state is RunState.RUNNING for run in baseline_runs(loop)))
    first = next(run for run in baseline_runs(loop) if run.device == "cuda:0")
    with subprocess.Popen(["sleep", "60"]) as neighbour:
        fake_nvml.processes = [("GPU-a", neighbour.pid, 12 * 1024)]
        fake_nvml.write()

        def is_measured() -> bool:
            return all(run.metric is not None for run in baseline_runs(loop))

        assert ticking(loop, is_measured)
        neighbour.kill()
    again = next(run for run in baseline_runs(loop) if run.id == first.id)
    assert (again.device, again.attempt) == ("cuda:1", 2), "made again on the GPU that is free"
    assert f"shared its device with sleep (pid {neighbour.pid}, user" in again.voided[0]
    snapshot = loop.look()
    assert any(first.id in event.text and "shared its device" in event.text for event in snapshot.events)
