"""Device discovery: this machine's cores for real, GPUs through a stand-in for the driver's library."""

from __future__ import annotations

import os
import sys
from types import ModuleType, SimpleNamespace

import pytest

from sessions import devices
from sessions.devices import FoundDevice, discover
from sessions.errors import DeviceError

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@pytest.fixture(autouse=True)
def _all_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "find_gpus", lambda: ())


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """The only thing on this machine that is stood in for."""
    driver = ModuleType("pynvml")
    driver.NVMLError = OSError  # type: ignore[attr-defined]
    driver.nvmlInit = driver.nvmlShutdown = lambda: None  # type: ignore[attr-defined]
    driver.nvmlDeviceGetCount = lambda: 2  # type: ignore[attr-defined]
    driver.nvmlDeviceGetHandleByIndex = lambda index: index  # type: ignore[attr-defined]
    driver.nvmlDeviceGetUUID = lambda handle: f"GPU-{'ab'[handle]}"  # type: ignore[attr-defined]
    driver.nvmlDeviceGetName = lambda handle: ["NVIDIA H200", "NVIDIA L4"][handle]  # type: ignore[attr-defined]
    memory = [SimpleNamespace(total=141 * 2**30), SimpleNamespace(total=24 * 2**30)]
    driver.nvmlDeviceGetMemoryInfo = lambda handle: memory[handle]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pynvml", driver)


@pytest.mark.usefixtures("no_gpu")
def test_cpu_slots_are_pinned_cores() -> None:
    slots = discover("auto")
    assert 1 <= len(slots) <= 2
    assert [slot.id for slot in slots] == [f"cpu:{i}" for i in range(len(slots))]
    assert all(slot.kind == "cpu" and slot.core in CORES for slot in slots)
    assert slots == discover("cpu") == discover(None)
    assert discover(f"cpu*{len(CORES)}") == devices.find_cpu_slots()
    assert sorted(slot.core or 0 for slot in devices.find_cpu_slots()) == CORES
    assert [slot.id for slot in discover("cpu:0, cpu:0")] == ["cpu:0"]


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
        assert discover("cpu") == (FoundDevice("cpu:0", "cpu", f"core {CORES[-1]}", CORES[-1], None),)
    finally:
        os.sched_setaffinity(0, set(CORES))


@pytest.mark.usefixtures("two_gpus")
def test_gpus_come_with_what_a_run_must_see(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = discover("auto")
    assert (first.id, first.kind, first.label) == ("cuda:0", "NVIDIA H200", "NVIDIA H200 141 GB")
    assert second.environment == {"CUDA_VISIBLE_DEVICES": "GPU-b"}
    assert discover("cuda:1,cpu:0")[0] == second
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [(gpu.id, gpu.kind) for gpu in discover(None)] == [("cuda:0", "NVIDIA L4")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,7,1")
    assert [gpu.kind for gpu in discover(None)] == ["NVIDIA H200"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert discover(None)[0].kind == "cpu"


def test_no_driver_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import pynvml

    def refuse() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", refuse)
    assert devices._nvidia_gpus() == ()
