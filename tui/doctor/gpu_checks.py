"""What `doctor` says of NVIDIA GPUs: the driver, each GPU and slice by UUID, who is on it, what is out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sessions.devices.gpu import DriverMissing, Gpu, GpuStatus
from supervisor.lab.paths import Lab
from tui.doctor.check import Check, Health
from tui.views.figures import sensors, throttling
from tui.views.text import plain


def check_gpus(lab: Lab | None) -> Iterator[Check]:
    """One check for the driver and one for each GPU; none where there is no driver."""
    from sessions.devices.gpu_monitor import GpuInspector
    from sessions.devices.nvml import Driver

    try:
        driver = Driver()
    except DriverMissing:
        return
    try:
        persistence = {gpu.uuid: driver.persistence(gpu.uuid) for gpu in driver.gpus}
        off = any(mode is False for mode in persistence.values())
        words = f"NVIDIA {driver.version()}, {len(driver.gpus)} to train on"
        if off:
            words += "; persistence is off, so the first run after a pause starts late"
        yield Check("driver", Health.GOOD, words, "sudo nvidia-smi -pm 1" if off else "")
        for problem in driver.unusable:
            yield Check("gpu", Health.BAD, plain(problem), "sudo nvidia-smi --gpu-reset, or reboot")
    finally:
        driver.close()
    holders, out = _of_lab(lab)
    eyes = GpuInspector()
    try:
        for gpu, look in zip(
            driver.gpus, eyes.inspect({g.uuid: holders.get(g.uuid) for g in driver.gpus}), strict=True
        ):
            yield _check_gpu(gpu, look, out.get(gpu.uuid, ""))
    finally:
        eyes.close()


def _of_lab(lab: Lab | None) -> tuple[dict[str, Path], dict[str, str]]:
    """By UUID: the directory of the lab's run that holds it, and why the lab has taken it out."""
    from supervisor.client.lab_client import LabClient
    from supervisor.runs.spec import run_directory

    if lab is None or not lab.db.exists():
        return {}, {}
    snapshot = LabClient(lab).snapshot()
    devices = [(device, snapshot.run(device.run_id)) for device in snapshot.devices if device.uuid]
    holders = {device.uuid: run_directory(lab, run) for device, run in devices if run is not None}
    return holders, {device.uuid: device.problem for device, _ in devices if device.problem}


def _check_gpu(gpu: Gpu, look: GpuStatus, taken_out: str) -> Check:
    kind = f"a slice of GPU {gpu.index}" if gpu.slice is not None else f"GPU {gpu.index}"
    words = f"{kind}: {plain(gpu.name)}, {gpu.uuid}"
    if look.problem or taken_out:
        return Check("gpu", Health.BAD, f"{words}: out: {plain(look.problem or taken_out)}")
    words += f"; {sensors(look.reading)}"
    if slowed := throttling(look.reading):
        words += f", slowed by {slowed}"
    if look.neighbours:
        who = " and ".join(plain(one.in_words()) for one in look.neighbours)
        mend = "end it, or set share_devices = true under [lab] if scores may suffer"
        return Check("gpu", Health.WARNING, f"{words}; shared with {who}", mend)
    return Check("gpu", Health.WARNING if slowed else Health.GOOD, words)
