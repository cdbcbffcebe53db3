"""Looking at GPUs: the driver's library is stood in for, the processes on them are real."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sessions.devices.gpu import GpuStatus, Neighbour, Throttle, speaks_of_device
from sessions.devices.gpu_monitor import LITTLE_MB, GpuInspector, GpuMonitor
from sessions.devices.nvml import Driver
from sessions.processes.tree import descendants, wait_until
from sessions.runs.contract import LOCK_FILE
from tests.worlds.fake_nvml import HEAT, LOST, POWER_CAP, RESET_REQUIRED, Card, FakeNvml

PARENT = "import subprocess, sys; subprocess.Popen(['sleep', '60']); sys.stdin.read()"


@pytest.fixture
def card(fake_nvml: FakeNvml) -> Card:
    one = Card("GPU-a", "NVIDIA H200", 141, used_mb=44 * 1024, utilization=98, temperature_c=61, power_w=640)
    fake_nvml.gpus = [one]
    fake_nvml.write()
    return one


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def started(stack: ExitStack, argv: list[str]) -> subprocess.Popen[bytes]:
    process = stack.enter_context(subprocess.Popen(argv, stdin=subprocess.PIPE))
    stack.callback(process.kill)
    return process


def run_with_child(stack: ExitStack, folder: Path) -> int:
    """A run's folder whose runner has one child; returns the child's pid."""
    runner = started(stack, [sys.executable, "-c", PARENT])
    assert wait_until(lambda: bool(descendants(runner.pid)), 10)
    child = descendants(runner.pid)[0]
    stack.callback(subprocess.run, ["kill", str(child)])
    (folder / LOCK_FILE).write_text(f"{runner.pid}\n")
    return child


def look(eyes: GpuInspector, holder: Path | None = None) -> GpuStatus:
    return eyes.inspect({"GPU-a": holder})[0]


def test_the_sensors_are_read_with_their_units(card: Card, fake_nvml: FakeNvml) -> None:
    card.throttle = HEAT | POWER_CAP
    fake_nvml.write()
    reading = look(GpuInspector()).reading
    assert reading is not None and abs(reading.at - time.time()) < 10
    assert (reading.utilization_percent, reading.temperature_c, reading.power_w) == (98, 61, 640.0)
    assert (reading.memory_used_mb, reading.memory_total_mb) == (44 * 1024, 141 * 1024)
    assert reading.throttled == (Throttle.POWER_CAP, Throttle.HEAT)


def test_a_slice_says_what_it_can_and_its_gpu_the_rest(fake_nvml: FakeNvml) -> None:
    fake_nvml.gpus = [Card("GPU-a", "A100", 40, temperature_c=55, slices=[("MIG-1", "A100 MIG 1g.5gb", 5)])]
    fake_nvml.write()
    reading = GpuInspector().inspect({"MIG-1": None})[0].reading
    assert reading is not None
    assert (reading.utilization_percent, reading.temperature_c) == (None, 55)
    assert reading.memory_total_mb == 5 * 1024


def test_whoever_is_not_the_runs_own_is_a_neighbour_with_a_name(
    card: Card, fake_nvml: FakeNvml, processes: ExitStack, tmp_path: Path
) -> None:
    own = run_with_child(processes, tmp_path)
    stranger = started(processes, ["sleep", "60"])
    fake_nvml.processes = [("GPU-a", own, 30_000), ("GPU-a", stranger.pid, 12 * 1024)]
    fake_nvml.write()
    seen = look(GpuInspector(), tmp_path).neighbours
    assert seen == (Neighbour(stranger.pid, "sleep", getpass.getuser(), 12 * 1024),)
    assert seen[0].in_words() == f"sleep (pid {stranger.pid}, user {getpass.getuser()}, 12 GB)"
    assert {one.pid for one in look(GpuInspector(), None).neighbours} == {own, stranger.pid}, (
        "nobody holds it"
    )


def test_what_is_too_small_to_matter_is_no_neighbour(
    card: Card, fake_nvml: FakeNvml, processes: ExitStack
) -> None:
    stranger = started(processes, ["sleep", "60"])
    fake_nvml.processes = [("GPU-a", stranger.pid, LITTLE_MB - 1)]
    fake_nvml.write()
    assert look(GpuInspector()).neighbours == ()


def test_a_pid_that_nobody_knows_is_believed_when_seen_twice(
    card: Card, fake_nvml: FakeNvml, processes: ExitStack, tmp_path: Path
) -> None:
    own = run_with_child(processes, tmp_path)
    elsewhere = 2**22 + 77  # above every pid that Linux gives
    fake_nvml.processes = [("GPU-a", own, 500), ("GPU-a", elsewhere, 500)]
    fake_nvml.write()
    eyes = GpuInspector()
    assert look(eyes, tmp_path).neighbours == ()
    assert [one.pid for one in look(eyes, tmp_path).neighbours] == [elsewhere]
    # In a container that counts pids for itself our own run is the unknown one.
    fake_nvml.processes = [("GPU-a", elsewhere, 500)]
    fake_nvml.write()
    assert look(eyes, tmp_path).neighbours == look(eyes, tmp_path).neighbours == ()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"error": LOST}, "the driver no longer lists it"),
        ({"error": RESET_REQUIRED}, "the driver no longer lists it"),
        ({"ecc": 2}, "2 uncorrectable memory errors"),
        ({"uuid": "GPU-other"}, "the driver no longer lists it"),
    ],
)
def test_a_gpu_that_broke_before_the_session_has_its_reason(
    card: Card, fake_nvml: FakeNvml, change: dict[str, object], why: str
) -> None:
    for name, value in change.items():
        setattr(card, name, value)
    fake_nvml.write()
    assert why in look(GpuInspector()).problem


def test_a_gpu_that_falls_off_the_bus_is_named_and_seen_again_when_it_is_back(
    card: Card, fake_nvml: FakeNvml
) -> None:
    eyes = GpuInspector()
    assert look(eyes).problem == ""
    card.error = LOST
    fake_nvml.write()
    assert look(eyes).problem.startswith("fell off the bus")
    card.error = 0
    fake_nvml.write()
    assert look(eyes).problem == ""
    fake_nvml.path.unlink()
    assert look(eyes).problem  # the driver is gone altogether


def test_the_watch_looks_by_itself_and_stops(card: Card, fake_nvml: FakeNvml) -> None:
    watch = GpuMonitor(every_s=0.01)
    watch.holders = {"GPU-a": None}
    watch.start(10)
    assert watch.statuses[0].reading is not None
    card.temperature_c = 88
    fake_nvml.write()
    assert wait_until(lambda: (r := watch.statuses[0].reading) is not None and r.temperature_c == 88, 10)
    watch.stop()
    count = watch.number()
    assert not wait_until(lambda: watch.number() != count, 0.05)
    assert watch.silent_s() == 0.0


def test_another_process_sees_the_same_stand_in(card: Card, fake_nvml: FakeNvml) -> None:
    code = "from sessions.devices.nvml import Driver; print(Driver().gpus[0].uuid)"

    env = os.environ | fake_nvml.environment
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout == "GPU-a\n", done.stderr


def test_an_open_session_makes_a_reading_cheap(card: Card) -> None:
    driver = Driver()
    began = time.process_time()
    for _ in range(20):
        driver.read("GPU-a", 0.0)
        driver.compute_processes("GPU-a")
    each_ms = (time.process_time() - began) * 1000 / 20
    driver.close()
    assert each_ms < 50, f"{each_ms:.2f} ms"


@pytest.mark.parametrize(
    ("words", "blamed"),
    [
        ("RuntimeError: CUDA error: uncorrectable ECC error encountered", True),
        ("RuntimeError: No CUDA-capable device is detected", True),
        ("torch.AcceleratorError: CUDA error: all CUDA-capable devices are busy or unavailable", True),
        ("Unable to determine the device handle for GPU0000:3B:00.0: GPU is lost.", True),
        ("RuntimeError: CUDA error: an illegal memory access was encountered", False),
        ("torch.OutOfMemoryError: CUDA out of memory", False),
        ("ValueError: loss is nan", False),
    ],
)
def test_last_words_blame_the_device_or_the_code(words: str, blamed: bool) -> None:
    assert speaks_of_device(words) is blamed
