"""The devices panel: sensors, a neighbour, a lost GPU."""

from __future__ import annotations

import dataclasses

from sessions.devices.gpu import GpuReading, Throttle
from supervisor.model.snapshot import Device, LabSnapshot
from tests.tui.screen import snapshots
from tests.tui.screen.memory_client import MemoryClient
from tui.screen.app import LabApp
from tui.screen.panels.devices import DevicesPanel, device_lines
from tui.views.as_json import status_view

HOT = GpuReading(snapshots.NOW, 44 * 1024, 141 * 1024, 98, 61, 640.0, (Throttle.POWER_CAP, Throttle.HEAT))
IDLE = GpuReading(snapshots.NOW, 12 * 1024, 141 * 1024, 3, 35, 90.0)
LOST = "fell off the bus; `nvidia-smi --gpu-reset` or reboot"


def on_gpus() -> LabSnapshot:
    """Two GPUs and a third: one trains, one has a neighbour, one is lost."""
    lab = snapshots.mid()
    kind = "NVIDIA H200"
    first = Device(
        "cuda:0", kind, "NVIDIA H200 141 GB", lab.devices[0].run_id, snapshots.NOW - 14, reading=HOT
    )
    second = Device("cuda:1", kind, "NVIDIA H200 141 GB", None, snapshots.NOW - 60, "", "GPU-b")
    busy = dataclasses.replace(
        second, neighbour="[b]python (pid 4242, user ann, 12 GB)", avoided=True, reading=IDLE
    )
    third = Device("cuda:2", kind, "NVIDIA H200 141 GB", None, snapshots.NOW - 600, LOST)
    return dataclasses.replace(lab, devices=(first, busy, third))


def text_of(snapshot: LabSnapshot, width: int) -> list[str]:
    lines = [line for d in snapshot.devices for line in device_lines(d, snapshot, snapshots.NOW, width)]
    return ["".join(text for text, _ in line).rstrip() for line in lines]


def test_the_panel_tells_sensors_neighbours_and_losses() -> None:
    lines = text_of(on_gpus(), 70)
    assert lines[0].startswith("● cuda:0  e0039 candidate") and lines[0].endswith("63 %")
    assert lines[1] == "  98 % 44/141 GB 61° · slowed by heat"
    assert lines[2].startswith("◌ cuda:1  busy: [b]python (pid 4242, user ann, 12 GB)")
    assert lines[3] == "  3 % 12/141 GB 35°"
    assert lines[4].startswith("✕ cuda:2  fell off the bus")
    assert len(lines) == 5


def test_cores_have_one_line_as_before() -> None:
    assert len(text_of(snapshots.mid(), 70)) == len(snapshots.mid().devices)


async def test_the_screen_shows_them() -> None:
    app = LabApp(MemoryClient(on_gpus()), now=lambda: snapshots.NOW)
    async with app.run_test(size=(160, 50)) as pilot:
        while app.snapshot is None or not app.screen.query(DevicesPanel):
            await pilot.pause()
        await pilot.pause()
        drawn = app.export_screenshot().replace("&#160;", " ")
    assert "98 % 44/141 GB 61°" in drawn
    assert "busy: [b]python" in drawn


def test_scripts_get_sensors_with_units() -> None:
    first, second, third = status_view(on_gpus(), "socket")["devices"]
    assert first["sensors"]["utilization_percent"] == 98
    assert first["sensors"]["throttled_by"] == ["power cap", "heat"]
    assert (first["sensors"]["temperature_c"], first["sensors"]["power_w"]) == (61, 640.0)
    assert second["waits_for_neighbour"] and "pid 4242" in second["neighbour"]
    assert third["sensors"] is None and third["problem"] == LOST
