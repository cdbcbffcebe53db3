"""What one run gets of the machine: several GPUs at once or none, cores as outside the lab, and it is said."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions.devices import discovery
from supervisor.campaign.launch import open_campaign
from supervisor.campaign.options import LaunchOptions
from supervisor.errors import LaunchError
from supervisor.lab.hardware import hardware_for, thread_variables
from supervisor.lab.paths import Lab, find_lab
from supervisor.model.actions import StartRun
from supervisor.model.snapshot import LabSnapshot
from supervisor.policy.run_queue import start_runs
from supervisor.policy.verdicts import rules_of
from supervisor.runs.run import bench_of
from supervisor.runs.spec import Job, place_of
from supervisor.snapshot_reader import read_snapshot
from supervisor.store import devices, runs
from supervisor.store.connection import Store
from tests.worlds.fake_nvml import Card, FakeNvml
from tests.worlds.labs import make_toy_lab

NOW = 1_000_000.0


def lab_with(folder: Path, table: str) -> Lab:
    lab = make_toy_lab(folder)
    file = lab.root / "autoresearch.toml"
    file.write_text(f"{file.read_text()}\n[devices]\n{table}\n")
    return find_lab(lab.root)


@dataclasses.dataclass
class FourGpus:
    lab: Lab
    store: Store
    said: list[str]

    @property
    def snapshot(self) -> LabSnapshot:
        return read_snapshot(self.lab, self.store, NOW)

    def starts(self) -> tuple[StartRun, ...]:
        return start_runs(self.snapshot, rules_of(self.lab.config), candidates=True)

    def lease(self, start: StartRun) -> bool:
        return runs.take_lease(self.store, start.run_id, start.device_id, NOW, start.others)


@pytest.fixture
def gpus(fake_nvml: FakeNvml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FourGpus]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    fake_nvml.gpus = [Card(f"GPU-{n}", "NVIDIA H200", 141, minor=n) for n in range(4)]
    fake_nvml.write()
    lab, said = lab_with(tmp_path / "lab", "gpus = 2"), list[str]()
    open_campaign(lab, LaunchOptions(juniors=1), said.append)
    yield FourGpus(lab, Store(lab.db), said)


def test_a_run_takes_all_its_gpus_or_none(gpus: FourGpus) -> None:
    assert any("each run gets 2 × NVIDIA H200 141 GB, 2 runs at a time" in line for line in gpus.said)
    first, second = gpus.starts()
    assert {first.device_id, *first.others, second.device_id, *second.others} == {
        f"cuda:{n}" for n in range(4)
    }
    assert gpus.lease(first)
    overlapping = dataclasses.replace(second, others=first.others)
    assert not gpus.lease(overlapping)
    assert gpus.starts() == (second,), "what could not be taken whole was not taken at all"
    assert gpus.lease(second) and gpus.starts() == ()
    snapshot = gpus.snapshot
    assert [device.run_id for device in snapshot.devices] == [first.run_id] * 2 + [second.run_id] * 2
    run = snapshot.run(first.run_id)
    assert run is not None and run.device == "cuda:0+cuda:1"
    assert bench_of(gpus.lab, run.device).name == "cuda-0"
    by_id = {device.id: device for device in snapshot.devices}
    baseline = snapshot.experiment("e0000")
    assert baseline is not None
    place = place_of(gpus.store, Job(baseline, run, by_id["cuda:0"], (by_id["cuda:1"],)))
    assert place.environment == {"CUDA_VISIBLE_DEVICES": "GPU-0,GPU-1"}
    runs.lose_run(gpus.store, "t", first.run_id, NOW, "gone", capped=False)
    assert [device.run_id for device in gpus.snapshot.devices] == [None] * 2 + [second.run_id] * 2


def test_a_gpu_that_is_out_costs_no_other_than_its_partner(gpus: FourGpus) -> None:
    devices.record_device_problem(gpus.store, "cuda:1", "fell off the bus", NOW)
    (only,) = gpus.starts()
    assert (only.device_id, only.others) == ("cuda:0", ("cuda:2",))


def test_more_gpus_than_there_are_is_refused(gpus: FourGpus, tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"\[devices\] gpus: a run is to have 5 GPUs, and there are 4"):
        hardware_for(lab_with(tmp_path / "greedy", "gpus = 5"), None)
    assert len(hardware_for(lab_with(tmp_path / "alone", "gpus = 3\nruns = 1"), None)) == 3


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "find_gpus", lambda: ())
    monkeypatch.setattr(discovery, "usable_cores", lambda: list(range(8)))
    monkeypatch.setattr(discovery, "_cpu_quota", lambda: None)


@pytest.mark.parametrize(
    ("table", "requested", "cores", "said"),
    [
        ("", None, [()], "all 8 cores, one run at a time"),
        ("cores = 4", None, [(0, 1, 2, 3), (4, 5, 6, 7)], "4 cores, 2 runs at a time"),
        ("cores = 2\nruns = 1", None, [(0, 1)], "2 cores, one run at a time"),
        ("cores = 1", None, [(0,), (1,)], "one core, 2 runs at a time"),
        ("", "cpu:0,cpu:1", [(0,), (1,)], "one core, 2 runs at a time"),
    ],
)
def test_a_stranger_gets_the_machine_as_outside_the_lab(
    eight_cores: None,
    tmp_path: Path,
    table: str,
    requested: str | None,
    cores: list[tuple[int, ...]],
    said: str,
) -> None:
    lab, told = lab_with(tmp_path / "lab", table), list[str]()
    assert [slot.cores for slot in hardware_for(lab, requested)] == cores
    open_campaign(lab, LaunchOptions(juniors=1, devices=requested), told.append)
    assert any(f"each run gets {said}; " in line for line in told), told


def test_a_lab_with_our_referee_keeps_its_single_cores(eight_cores: None, tmp_path: Path) -> None:
    lab = dataclasses.replace(make_toy_lab(tmp_path / "lab"), has_referee=True)
    assert [slot.cores for slot in hardware_for(lab, None)] == [(0,), (1,)]
    assert thread_variables((3,)) == {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    assert thread_variables(()) == {}


def test_a_campaign_goes_on_with_the_slots_that_it_was_measured_on(
    eight_cores: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.lab.hardware.os.sched_getaffinity", lambda _: set(range(8)))
    lab = make_toy_lab(tmp_path / "lab")
    open_campaign(lab, LaunchOptions(juniors=1, devices="cpu:0,cpu:1"), print)
    open_campaign(lab, LaunchOptions(), print)
    store = Store(lab.db)
    snapshot = read_snapshot(lab, store, NOW)
    assert [device.label for device in snapshot.devices] == ["core 0", "core 1"]
