"""Device discovery: this machine's cores for real, GPUs through a stand-in for the driver's library."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sessions.devices import discovery as devices
from sessions.devices.cuda_visibility import visible
from sessions.devices.discovery import FoundDevice, discover
from sessions.devices.gpu import Gpu
from sessions.errors import DeviceError
from sessions.sandbox.filesystem_view import accelerators
from tests.worlds.fake_nvml import LOST, Card, FakeNvml

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@pytest.fixture(autouse=True)
def _all_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "find_gpus", lambda: ())


@pytest.fixture
def two_gpus(fake_nvml: FakeNvml) -> FakeNvml:
    """The only thing on this machine that is stood in for."""
    fake_nvml.gpus = [Card("GPU-aa", "NVIDIA H200", 141), Card("GPU-ab", "NVIDIA L4", 24, minor=1)]
    fake_nvml.write()
    return fake_nvml


@pytest.mark.usefixtures("no_gpu")
def test_cpu_slots_are_pinned_cores() -> None:
    slots = discover("auto")
    assert 1 <= len(slots) <= 2
    assert [slot.id for slot in slots] == [f"cpu:{i}" for i in range(len(slots))]
    assert all(slot.kind == "cpu" and slot.cores[0] in CORES for slot in slots)
    assert slots == discover("cpu") == discover(None)
    assert discover(f"cpu*{len(CORES)}") == devices.find_cpu_slots()
    assert sorted(slot.cores[0] for slot in devices.find_cpu_slots()) == CORES
    assert [slot.id for slot in discover("cpu:0, cpu:0")] == ["cpu:0"]


def test_slots_of_several_cores_and_the_whole_machine(no_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "usable_cores", lambda: [0, 2, 4, 6, 1, 3, 5, 7])
    monkeypatch.setattr(devices, "_cpu_quota", lambda: None)
    assert [slot.cores for slot in discover(None, cores=3)] == [(0, 2, 4), (6, 1, 3)]
    assert [slot.label for slot in discover("cpu", cores=4, at_once=1)] == ["cores 0, 2, 4, 6"]
    assert discover(None, cores=None) == (FoundDevice("cpu:0", "cpu", "all 8 cores", (), None),)
    assert [slot.cores for slot in discover("cpu:1", cores=None)] == [(2,)], (
        "a slot that is named is one core"
    )
    monkeypatch.setattr(devices, "_cpu_quota", lambda: 4)
    assert discover(None, cores=None)[0].label == "all 4 cores"
    assert len(discover(None, cores=2)) == 2
    with pytest.raises(DeviceError, match="is to have 9 cores, and there are 8 here"):
        discover(None, cores=9)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("name", ["cuda:0", "cpu:4711", "cpu*0", "cpu*4711", "tpu", "", "cpu:0,cuda:9"])
def test_unknown_devices_are_refused_with_those_there_are(name: str) -> None:
    if name == "":
        assert discover(name) == discover("auto")
        return
    with pytest.raises(DeviceError, match=r"no device .* here; there is cpu:0"):
        discover(name)


def test_affinity_is_respected(no_gpu: None) -> None:
    os.sched_setaffinity(0, {CORES[-1]})
    try:
        assert discover("cpu") == (FoundDevice("cpu:0", "cpu", f"core {CORES[-1]}", (CORES[-1],), None),)
    finally:
        os.sched_setaffinity(0, set(CORES))


@pytest.mark.usefixtures("two_gpus")
def test_gpus_come_with_what_a_run_must_see(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = discover("auto")
    assert (first.id, first.kind, first.label) == ("cuda:0", "NVIDIA H200", "NVIDIA H200 141 GB")
    assert second.environment == {"CUDA_VISIBLE_DEVICES": "GPU-ab"}
    assert (second.uuid, second.minor, second.memory_mb) == ("GPU-ab", 1, 24 * 1024)
    assert discover("cuda:1,cpu:0")[0] == second == discover("GPU-ab")[0]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-ab")
    assert [(gpu.id, gpu.kind) for gpu in discover(None)] == [("cuda:0", "NVIDIA L4")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert discover(None)[0].kind == "cpu"


def gpu(uuid: str, index: int, name: str = "NVIDIA A100", slice: int | None = None, parent: str = "") -> Gpu:
    return Gpu(uuid, name, 1000, index, slice, parent or uuid, index)


WHOLE = [gpu("GPU-aa1", 0), gpu("GPU-ab2", 1), gpu("GPU-c", 2)]
CUT = [
    gpu("GPU-aa1", 0),
    gpu("MIG-1", 1, "NVIDIA A100 MIG 1g.5gb", 0, "GPU-ab2"),
    gpu("MIG-2", 1, "NVIDIA A100 MIG 1g.5gb", 3, "GPU-ab2"),
]


@pytest.mark.parametrize(
    ("listed", "left"),
    [
        (None, "GPU-aa1 GPU-ab2 GPU-c"),
        ("2,0", "GPU-c GPU-aa1"),
        ("0, GPU-ab", "GPU-aa1 GPU-ab2"),
        ("GPU-a,2", ""),  # fits two
        ("0,-1,1", "GPU-aa1"),
        ("0,7,1", "GPU-aa1"),
        ("-1", ""),
        ("", ""),
        ("NoDevFiles", ""),
        ("1,1", ""),
        ("aa1", ""),
    ],
)
def test_the_visible_list_is_read_as_cuda_reads_it(listed: str | None, left: str) -> None:
    given = {} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}
    assert [g.uuid for g in visible(WHOLE, given)] == left.split()


@pytest.mark.parametrize(
    ("listed", "left"),
    [
        ("MIG-2,MIG-1", "MIG-2 MIG-1"),
        ("1", "MIG-1 MIG-2"),
        ("GPU-ab,0", "MIG-1 MIG-2 GPU-aa1"),
        ("MIG-", ""),
        ("1,MIG-1", ""),
    ],
)
def test_slices_are_named_one_by_one_or_by_their_gpu(listed: str, left: str) -> None:
    assert [g.uuid for g in visible(CUT, {"CUDA_VISIBLE_DEVICES": listed})] == left.split()


def test_an_index_among_unlike_gpus_needs_an_order() -> None:
    unlike = [gpu("GPU-a", 0), gpu("GPU-b", 1, "NVIDIA L4")]
    with pytest.raises(DeviceError, match="counted by speed"):
        visible(unlike, {"CUDA_VISIBLE_DEVICES": "1"})
    ordered = {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert visible(unlike, ordered) == [unlike[1]]


def test_a_cut_gpu_is_offered_as_its_slices_and_never_ranked_with_a_whole_one(fake_nvml: FakeNvml) -> None:
    fake_nvml.gpus = [
        Card("GPU-a", "NVIDIA A100", 40),
        Card(
            "GPU-b",
            "NVIDIA A100",
            40,
            slices=[("MIG-1", "NVIDIA A100 MIG 1g.5gb", 5), ("MIG-2", "NVIDIA A100", 10)],
        ),
    ]
    fake_nvml.write()
    found = discover(None)
    assert [(d.id, d.kind) for d in found] == [
        ("cuda:0", "NVIDIA A100"),
        ("cuda:1.0", "NVIDIA A100 MIG 1g.5gb"),
        ("cuda:1.1", "NVIDIA A100 MIG 10gb"),  # a driver whose name says nothing of the slice
    ]
    assert found[1].environment == {"CUDA_VISIBLE_DEVICES": "MIG-1"}
    assert found[1].label == "NVIDIA A100 MIG 1g.5gb 5 GB"


def test_a_gpu_that_is_lost_hides_no_other(two_gpus: FakeNvml) -> None:
    two_gpus.gpus[0].error = LOST
    two_gpus.write()
    assert [gpu.uuid for gpu in discover(None)] == ["GPU-ab"]


def test_no_driver_is_no_error(fake_nvml: FakeNvml) -> None:
    fake_nvml.path.unlink()
    assert devices._nvidia_gpus() == ()
    assert devices.listed_uuids() == frozenset()


def test_a_run_sees_the_file_of_its_own_gpu_only(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm", "nvidia-caps"):
        (tmp_path / name).touch()
    own = accelerators([tmp_path / "nvidia1"], tmp_path)
    assert {path.name for path in own} == {"nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-caps"}
    both = accelerators([tmp_path / "nvidia1", tmp_path / "nvidia10"], tmp_path)
    assert {path.name for path in both} == {"nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm", "nvidia-caps"}
    assert len(accelerators((), tmp_path)) == len(accelerators([tmp_path / "nvidia7"], tmp_path)) == 6


@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="there is no NVIDIA driver here")
def test_the_real_driver_and_nvidia_smi_agree() -> None:
    """In a process of its own: this one may have loaded the stand-in."""
    listed = subprocess.run(
        ["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    code = (
        "from sessions.devices.nvml import Driver; d = Driver(); print(*(g.uuid for g in d.gpus), sep='\\n')"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    uuids = set(re.findall(r"(?:GPU|MIG)-[0-9a-f-]+", listed))
    assert set(found.stdout.split()) <= uuids
    assert {u for u in uuids if u.startswith("MIG-")} <= set(found.stdout.split())
