"""What a neighbour, a lost GPU and a changed order do to a lab: real store and policy, a stood-in driver."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sessions.devices.discovery import discover, listed_uuids
from sessions.devices.gpu_monitor import GpuMonitor
from sessions.processes.tree import wait_until
from sessions.runs.contract import LOCK_FILE, OUTCOME_FILE, RunEnding, RunOutcome, to_json
from supervisor.campaign.launch import open_campaign
from supervisor.campaign.options import LaunchOptions
from supervisor.lab.paths import Lab
from supervisor.loop.gpu_monitor import DeviceMonitor
from supervisor.model.experiment import Run
from supervisor.model.snapshot import Device, LabSnapshot
from supervisor.model.states import RunState
from supervisor.policy.run_queue import free_devices
from supervisor.runs.run import collect_run
from supervisor.runs.spec import run_directory
from supervisor.snapshot_reader import read_snapshot
from supervisor.store import runs
from supervisor.store.connection import Store
from supervisor.store.devices import GONE, record_devices
from tests.worlds.fake_nvml import LOST, Card, FakeNvml
from tests.worlds.labs import make_toy_lab

NOW = 2_000_000_000.0


@dataclass
class GpuLab:
    """A lab on two GPUs, launched, with the supervisor's eyes open; no run is really made."""

    lab: Lab
    store: Store
    fake: FakeNvml
    eyes: DeviceMonitor
    now: float = NOW

    @property
    def snapshot(self) -> LabSnapshot:
        return read_snapshot(self.lab, self.store, self.now)

    def device(self, name: str) -> Device:
        return next(device for device in self.snapshot.devices if device.id == name)

    def first_run(self) -> Run:
        run = self.snapshot.run("e0000.1")
        assert run is not None
        return run

    def lease(self, device: str) -> Run:
        assert runs.take_lease(self.store, "e0000.1", device, self.now)
        run = self.first_run()
        folder = run_directory(self.lab, run)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOCK_FILE).write_text(f"{2**22 + 99}\n")
        return run

    def sees(self, true: Callable[[], bool]) -> bool:
        """Let the eyes look until it is so."""

        def looked() -> bool:
            self.eyes.keep(self.snapshot, self.now)
            return true()

        return wait_until(looked, 10)


@pytest.fixture
def gpu_lab(fake_nvml: FakeNvml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GpuLab]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    fake_nvml.gpus = [Card("GPU-a", "NVIDIA H200", 141), Card("GPU-b", "NVIDIA H200", 141, minor=1)]
    fake_nvml.write()
    lab = make_toy_lab(tmp_path / "lab")
    open_campaign(lab, LaunchOptions(juniors=1), lambda _: None)
    store = Store(lab.db)
    eyes = DeviceMonitor(lab, store, GpuMonitor(every_s=0.01))
    yield GpuLab(lab, store, fake_nvml, eyes)
    eyes.stop()


@contextmanager
def stranger_on(fake: FakeNvml, uuid: str) -> Iterator[str]:
    with subprocess.Popen(["sleep", "60"]) as process:
        fake.processes = [(uuid, process.pid, 12 * 1024)]
        fake.write()
        yield f"sleep (pid {process.pid}, user "
        fake.processes = []
        fake.write()
        process.kill()


def outcome(gpu_lab: GpuLab, run: Run, ending: RunEnding, reason: str, metric: float | None = None) -> None:
    told = RunOutcome(run.id, ending, reason, metric, NOW, NOW + 9, 9.0, 9.0, 9.0, 1.0, 100.0)
    (run_directory(gpu_lab.lab, run) / OUTCOME_FILE).write_text(to_json(told))


def collect(gpu_lab: GpuLab) -> bool:
    campaign = gpu_lab.snapshot.campaign
    assert campaign is not None
    return collect_run(gpu_lab.lab, gpu_lab.store, campaign.tag, gpu_lab.first_run(), gpu_lab.now)


def test_sensors_reach_the_snapshot_and_trembling_ones_wake_nobody(gpu_lab: GpuLab) -> None:
    assert gpu_lab.sees(lambda: gpu_lab.device("cuda:1").reading is not None)
    gpu_lab.sees(lambda: True)
    version, number = gpu_lab.store.version(), gpu_lab.eyes.watch.number()
    gpu_lab.fake.gpus[0].utilization, gpu_lab.fake.gpus[0].power_w = 1, 83
    gpu_lab.fake.write()
    assert gpu_lab.sees(lambda: gpu_lab.eyes.watch.number() > number + 5)
    assert gpu_lab.store.version() == version
    gpu_lab.fake.gpus[0].temperature_c = 77
    gpu_lab.fake.write()

    def is_hot() -> bool:
        reading = gpu_lab.device("cuda:0").reading
        return reading is not None and reading.temperature_c == 77

    assert gpu_lab.sees(is_hot)
    assert gpu_lab.store.version() == version + 1, "one transition"
    rows = gpu_lab.store.connection.execute("SELECT count(*) FROM devices").fetchone()[0]
    assert rows == 2


def test_a_neighbour_is_waited_for_and_the_other_gpu_is_used(gpu_lab: GpuLab) -> None:
    with stranger_on(gpu_lab.fake, "GPU-a") as words:
        assert gpu_lab.sees(lambda: gpu_lab.device("cuda:0").avoided)
        assert gpu_lab.device("cuda:0").neighbour.startswith(words)
        assert [device.id for device in free_devices(gpu_lab.snapshot)] == ["cuda:1"]
        assert gpu_lab.snapshot.trouble == ""
        assert any(f"cuda:0 is busy: {words}" in event.text for event in gpu_lab.snapshot.events)
    assert gpu_lab.sees(lambda: not gpu_lab.device("cuda:0").avoided)
    assert len(free_devices(gpu_lab.snapshot)) == 2


def test_a_neighbour_during_a_run_voids_it_whatever_it_measured(gpu_lab: GpuLab) -> None:
    gpu_lab.sees(lambda: gpu_lab.device("cuda:0").reading is not None)
    run = gpu_lab.lease("cuda:0")
    with stranger_on(gpu_lab.fake, "GPU-a") as words:
        assert gpu_lab.sees(lambda: bool(gpu_lab.first_run().disturbed))
        outcome(gpu_lab, run, RunEnding.MEASURED, "", 1.5)
        assert collect(gpu_lab)
    after = gpu_lab.first_run()
    assert (after.state, after.metric, after.attempt, after.disturbed) == (RunState.QUEUED, None, 2, "")
    assert after.voided[0].startswith(f"on cuda:0: shared its device with {words}")
    assert gpu_lab.device("cuda:0").run_id is None


def test_a_lab_that_shares_shows_its_neighbours_and_goes_on(gpu_lab: GpuLab) -> None:
    section = gpu_lab.lab.config.lab.model_copy(update={"share_devices": True})
    config = gpu_lab.lab.config.model_copy(update={"lab": section})
    gpu_lab.eyes.lab = dataclasses.replace(gpu_lab.lab, config=config)
    gpu_lab.lease("cuda:0")
    with stranger_on(gpu_lab.fake, "GPU-a"):
        assert gpu_lab.sees(lambda: bool(gpu_lab.device("cuda:0").neighbour))
        assert not gpu_lab.device("cuda:0").avoided
        assert gpu_lab.first_run().disturbed == ""


def test_a_gpu_that_is_lost_goes_out_with_its_run_and_comes_back(gpu_lab: GpuLab) -> None:
    gpu_lab.sees(lambda: gpu_lab.device("cuda:0").reading is not None)
    run = gpu_lab.lease("cuda:0")
    gpu_lab.fake.gpus[0].error = LOST
    gpu_lab.fake.write()
    assert gpu_lab.sees(lambda: bool(gpu_lab.device("cuda:0").problem))
    assert [device.id for device in free_devices(gpu_lab.snapshot)] == ["cuda:1"]
    outcome(gpu_lab, run, RunEnding.CRASHED, "CUDA error: unknown error")
    assert collect(gpu_lab)
    assert gpu_lab.first_run().state is RunState.QUEUED, "the machine's fault, not the idea's"
    gpu_lab.fake.gpus[1].error = LOST
    gpu_lab.fake.write()
    assert gpu_lab.sees(lambda: "no device is free to measure on: cuda:0 is out" in gpu_lab.snapshot.trouble)
    gpu_lab.fake.gpus[0].error = 0
    gpu_lab.fake.write()
    assert gpu_lab.sees(lambda: gpu_lab.device("cuda:0").problem == "")
    assert any("cuda:0 is back in use" in event.text for event in gpu_lab.snapshot.events)


def test_a_run_that_blames_its_device_is_made_again_and_the_driver_is_asked(gpu_lab: GpuLab) -> None:
    words = "RuntimeError: CUDA error: uncorrectable ECC error encountered"
    for attempt in (1, 2, 3):
        run = gpu_lab.lease("cuda:0")
        assert run.attempt == attempt
        outcome(gpu_lab, run, RunEnding.CRASHED, words)
        assert collect(gpu_lab)
        assert "the driver is asked" in gpu_lab.device("cuda:0").problem
        assert gpu_lab.sees(lambda: gpu_lab.device("cuda:0").problem == ""), "it is healthy, says the driver"
    last = gpu_lab.first_run()
    assert (last.state, last.ending) == (RunState.FINISHED, RunEnding.CRASHED), "words alone go only so far"


def test_a_device_is_known_by_its_uuid_however_it_is_counted(gpu_lab: GpuLab) -> None:
    gpu_lab.fake.gpus.reverse()
    gpu_lab.fake.write()
    record_devices(gpu_lab.store, discover(None), NOW, listed_uuids())
    assert {d.id: d.uuid for d in gpu_lab.snapshot.devices} == {"cuda:0": "GPU-a", "cuda:1": "GPU-b"}
    gpu_lab.fake.gpus = [Card("GPU-new", "NVIDIA H200", 141), gpu_lab.fake.gpus[0]]
    gpu_lab.fake.write()
    record_devices(gpu_lab.store, discover(None), NOW, listed_uuids())
    assert {d.id: (d.uuid, d.problem) for d in gpu_lab.snapshot.devices} == {
        "cuda:0": ("GPU-a", GONE),
        "cuda:1": ("GPU-b", ""),
        "cuda:2": ("GPU-new", ""),
    }
    record_devices(gpu_lab.store, discover(None), NOW, listed_uuids())
    assert {d.id for d in gpu_lab.snapshot.devices} == {"cuda:1", "cuda:2"}, "told once"


def test_a_device_that_was_not_asked_for_is_not_gone(gpu_lab: GpuLab) -> None:
    record_devices(gpu_lab.store, discover("cuda:1"), NOW, listed_uuids())
    assert [(d.id, d.problem) for d in gpu_lab.snapshot.devices] == [("cuda:1", "")]


def test_cpu_slots_cost_no_thread(tmp_path: Path) -> None:
    lab = make_toy_lab(tmp_path / "lab")
    open_campaign(lab, LaunchOptions(juniors=1, devices="cpu:0"), lambda _: None)
    store = Store(lab.db)
    eyes = DeviceMonitor(lab, store)
    assert not eyes.keep(read_snapshot(lab, store, NOW), NOW)
    assert eyes.watch._thread is None
