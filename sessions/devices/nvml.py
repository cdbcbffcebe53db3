"""The NVIDIA driver's own library, NVML, in the lab's words. The only module that knows pynvml.

What it relies on, from NVML's documentation: indices follow the PCI bus; a MIG slice has a handle, a UUID
("MIG-…") and a name ("… MIG 1g.5gb") of its own; memory and compute processes are asked of the slice, temperature
and power of its parent, utilisation is not told for slices; compute processes are those with a CUDA context, so
that a desktop's graphics processes are not among them; pids are those of the caller's PID namespace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pynvml

from sessions.devices.gpu import ComputeProcess, DriverMissing, Gpu, GpuReading, GpuUnusable, Throttle

_MB = 2**20
_Answer = TypeVar("_Answer")


_THROTTLE_BITS = {
    Throttle.POWER_CAP: pynvml.nvmlClocksThrottleReasonSwPowerCap,
    Throttle.HEAT: pynvml.nvmlClocksThrottleReasonSwThermalSlowdown
    | pynvml.nvmlClocksThrottleReasonHwThermalSlowdown,
    Throttle.POWER_BRAKE: pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown,
    Throttle.SLOWDOWN: pynvml.nvmlClocksThrottleReasonHwSlowdown,
}


class Driver:
    """One session with the driver, kept open: opening one costs far more than a reading. Any thread may use it."""

    def __init__(self) -> None:
        """Open the session. Raises DriverMissing."""
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise DriverMissing(str(error)) from None
        self.gpus: tuple[Gpu, ...] = ()
        self.unusable: tuple[str, ...] = ()  # GPUs that are counted and do not answer, with the reason
        self._handles: dict[str, tuple[Any, Any]] = {}  # its own, its parent's
        try:
            self._find_gpus()
        except pynvml.NVMLError as error:
            self.close()
            raise DriverMissing(str(error)) from None

    def close(self) -> None:
        """End the session; no more use of it."""
        try:
            pynvml.nvmlShutdown()
        except pynvml.NVMLError:
            return

    def version(self) -> str:
        """The driver's version."""
        return str(_optional(pynvml.nvmlSystemGetDriverVersion) or "unknown")

    def persistence(self, uuid: str) -> bool | None:
        """Whether the driver stays loaded while nobody uses the GPU; None: not told."""
        mode = _optional(pynvml.nvmlDeviceGetPersistenceMode, self._of(uuid)[1])
        return None if mode is None else bool(mode)

    def read(self, uuid: str, now: float) -> GpuReading:
        """One reading of its sensors. Raises GpuUnusable."""
        own, parent = self._of(uuid)
        memory = _asked(pynvml.nvmlDeviceGetMemoryInfo, own)
        _expect_sound_memory(parent)
        use = _optional(pynvml.nvmlDeviceGetUtilizationRates, own)
        power_mw = _optional(pynvml.nvmlDeviceGetPowerUsage, parent)
        bits = _optional(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, parent) or 0
        return GpuReading(
            at=now,
            memory_used_mb=memory.used // _MB,
            memory_total_mb=memory.total // _MB,
            utilization_percent=None if use is None else use.gpu,
            temperature_c=_optional(pynvml.nvmlDeviceGetTemperature, parent, pynvml.NVML_TEMPERATURE_GPU),
            power_w=None if power_mw is None else power_mw / 1000,
            throttled=tuple(reason for reason, mask in _THROTTLE_BITS.items() if bits & mask),
        )

    def compute_processes(self, uuid: str) -> tuple[ComputeProcess, ...]:
        """The processes that compute on it; none where the driver does not tell. Raises GpuUnusable."""
        processes = _optional(pynvml.nvmlDeviceGetComputeRunningProcesses, self._of(uuid)[0]) or ()
        return tuple(
            ComputeProcess(one.pid, None if one.usedGpuMemory is None else one.usedGpuMemory // _MB)
            for one in processes
        )

    def _of(self, uuid: str) -> tuple[Any, Any]:
        if uuid not in self._handles:
            raise GpuUnusable("the driver no longer lists it")
        return self._handles[uuid]

    def _find_gpus(self) -> None:
        gpus: list[Gpu] = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            try:
                gpus += self._gpus_at(index)
            except (pynvml.NVMLError, GpuUnusable) as error:
                self.unusable = (*self.unusable, f"GPU {index}: {error}")
        self.gpus = tuple(gpus)

    def _gpus_at(self, index: int) -> list[Gpu]:
        parent = pynvml.nvmlDeviceGetHandleByIndex(index)
        uuid = _text(pynvml.nvmlDeviceGetUUID(parent))
        mode = _optional(pynvml.nvmlDeviceGetMigMode, parent)
        minor = _optional(pynvml.nvmlDeviceGetMinorNumber, parent)
        if mode is None or mode[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
            return [self._keep(parent, parent, index, None, uuid, minor)]
        # A GPU that is cut into slices runs nothing as a whole.
        slices = []
        for number in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(parent)):
            try:
                own = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(parent, number)
            except pynvml.NVMLError_NotFound:  # the numbers may have gaps
                continue
            slices.append(self._keep(own, parent, index, number, uuid, minor))
        return slices

    def _keep(
        self, own: Any, parent: Any, index: int, number: int | None, parent_uuid: str, minor: int | None
    ) -> Gpu:
        uuid = _text(pynvml.nvmlDeviceGetUUID(own))
        memory_mb = pynvml.nvmlDeviceGetMemoryInfo(own).total // _MB
        name = _text(pynvml.nvmlDeviceGetName(own))
        if number is not None and "MIG" not in name:  # a slice must never be taken for the whole
            name = f"{name} MIG {round(memory_mb / 1024)}gb"
        self._handles[uuid] = (own, parent)
        return Gpu(uuid, name, memory_mb, index, number, parent_uuid, minor)


def _expect_sound_memory(parent: Any) -> None:
    count = _optional(
        pynvml.nvmlDeviceGetTotalEccErrors,
        parent,
        pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
        pynvml.NVML_VOLATILE_ECC,  # since the driver was loaded: a reset clears it
    )
    if count:
        raise GpuUnusable(f"{count} uncorrectable memory errors (ECC); `nvidia-smi --gpu-reset` or reboot")


def _asked(ask: Callable[..., _Answer], *arguments: Any) -> _Answer:
    """The answer, where every GPU has one. Raises GpuUnusable."""
    try:
        return ask(*arguments)
    except pynvml.NVMLError_GpuIsLost:
        raise GpuUnusable("fell off the bus; `nvidia-smi --gpu-reset` or reboot") from None
    except pynvml.NVMLError_ResetRequired:
        raise GpuUnusable("needs a reset: `nvidia-smi --gpu-reset` or reboot") from None
    except pynvml.NVMLError as error:
        raise GpuUnusable(f"the driver cannot read it: {error}") from None


def _optional(ask: Callable[..., Any], *arguments: Any) -> Any:
    """The answer; None where this GPU, slice or driver has none. Raises GpuUnusable when the GPU is gone."""
    try:
        return ask(*arguments)
    except (pynvml.NVMLError_GpuIsLost, pynvml.NVMLError_ResetRequired):
        return _asked(ask, *arguments)
    except pynvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
