"""What the states of the GPUs mean for the lab: sensors shown, neighbours waited for, broken devices taken out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sessions.devices.gpu import GpuReading, GpuStatus
from sessions.devices.gpu_monitor import GpuMonitor
from supervisor.lab.paths import Lab
from supervisor.model.experiment import Run
from supervisor.model.records import DeviceSight
from supervisor.model.snapshot import Device, LabSnapshot
from supervisor.runs.spec import run_directory
from supervisor.store.connection import Store
from supervisor.store.devices import record_sights
from supervisor.store.reading import NOT_OF_THIS_LAUNCH

FIRST_LOOK_S = 10.0  # that a supervisor waits for before it gives devices away
HEALTHY_LOOKS = 2  # in a row, before a device that was out is used again
SILENT = "the NVIDIA driver has not answered for over a minute; see `nvidia-smi`, or reboot"


@dataclass(slots=True)
class DeviceMonitor:
    """The supervisor's eyes on its GPUs; labs without one cost nothing."""

    lab: Lab
    store: Store
    watch: GpuMonitor = field(default_factory=GpuMonitor)
    _started: bool = False
    _taken: int = 0  # statuses
    _healthy: dict[str, int] = field(default_factory=dict)  # by UUID: statuses in a row without a problem

    def keep(self, snapshot: LabSnapshot, now: float) -> bool:
        """Take what was seen since the last time; True when the lab's state changed."""
        if snapshot.campaign is None:
            return False
        self.watch.holders = {
            device.uuid: self._holder(snapshot.run(device.run_id))
            for device in snapshot.devices
            if device.uuid and device.problem != NOT_OF_THIS_LAUNCH
        }
        if not self.watch.holders:
            return False
        if not self._started:
            self._started = True
            self.watch.start(FIRST_LOOK_S)
        silent = bool(self.watch.silent_s())
        if self.watch.number() == self._taken and not silent:
            return False
        self._taken = self.watch.number()
        status_by_uuid = {status.uuid: status for status in self.watch.statuses}
        sights = [
            self._sight(snapshot, device, status_by_uuid.get(device.uuid), silent)
            for device in snapshot.devices
        ]
        new = [sight for sight in sights if sight is not None]
        if new:
            record_sights(self.store, snapshot.campaign.tag, new, now)
        return bool(new)

    def stop(self) -> None:
        """Watch no longer."""
        self.watch.stop()

    def _holder(self, run: Run | None) -> Path | None:
        return None if run is None else run_directory(self.lab, run)

    def _sight(
        self, snapshot: LabSnapshot, device: Device, status: GpuStatus | None, silent: bool
    ) -> DeviceSight | None:
        if device.uuid not in self.watch.holders or (status is None and not silent):
            return None
        if silent or status is None:
            return None if device.problem == SILENT else DeviceSight(device.id, SILENT)
        self._healthy[device.uuid] = 0 if status.problem else self._healthy.get(device.uuid, 0) + 1
        run = snapshot.run(device.run_id)
        if status.holder != self._holder(run):
            return None  # from before its present run, or from after: the next look will tell
        proven = self._healthy[device.uuid] >= HEALTHY_LOOKS
        sight = see(device, status, run, share=self.lab.config.lab.share_devices, proven=proven)
        return sight if is_news(device, sight, run) else None


def see(device: Device, status: GpuStatus, run: Run | None, *, share: bool, proven: bool) -> DeviceSight:
    """What the status of a device means. A device that was out comes back only when it is `proven` healthy. Pure."""
    problem = status.problem or ("" if proven else device.problem)
    neighbour = " and ".join(one.in_words() for one in status.neighbours)
    disturbance = ""
    if run is not None and status.problem:
        disturbance = f"its device is out: {status.problem}"
    elif run is not None and neighbour and not share:
        since_s = max(0.0, (status.reading.at if status.reading else 0.0) - (run.started_at or 0.0))
        disturbance = f"shared its device with {neighbour} from {since_s:.0f} s on"
    return DeviceSight(
        device.id,
        problem,
        neighbour,
        bool(neighbour) and not share,
        status.reading,
        run.id if run is not None and disturbance else None,
        disturbance,
    )


def is_news(device: Device, sight: DeviceSight, run: Run | None) -> bool:
    """Whether a sight differs from what the lab knows in anything that is shown or decides. Pure."""
    known = (device.problem, device.neighbour, device.avoided, shown(device.reading))
    view = (sight.problem, sight.neighbour, sight.avoided, shown(sight.reading))
    return known != view or (run is not None and bool(sight.disturbance) and not run.disturbed)


def shown(reading: GpuReading | None) -> tuple[object, ...]:
    """A reading as coarsely as the screen tells it: what trembles below that wakes nobody."""
    if reading is None:
        return ()
    use, heat = reading.utilization_percent, reading.temperature_c
    return (
        None if use is None else round(use / 5),
        round(reading.memory_used_mb / 1024),
        None if heat is None else round(heat / 2),
        reading.throttled,
    )
