"""The driver's library stood in for at its own boundary: a compiled libnvidia-ml.so.1 whose GPUs are lines of a file.

The fixture `fake_nvml` is in tests/conftest.py. Other processes get it through `environment`.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

LOST, RESET_REQUIRED = 15, 16
HEAT, POWER_CAP = 0x40, 0x4
SOURCE = Path(__file__).with_name("fake_nvml.c")


@dataclass
class Card:
    """A GPU, as its driver would describe it."""

    uuid: str
    name: str
    memory_gb: int
    minor: int = 0
    used_mb: int = 4
    utilization: int = 0
    temperature_c: int = 40
    power_w: int = 80
    throttle: int = 0
    ecc: int = 0
    error: int = 0  # of everything that is asked of it
    slices: list[tuple[str, str, int]] = field(default_factory=list)  # uuid, name, GB


@dataclass
class FakeNvml:
    """The world that the stand-in shows; `write` makes it so, while processes run."""

    folder: Path
    path: Path
    gpus: list[Card] = field(default_factory=list)
    processes: list[tuple[str, int, int]] = field(default_factory=list)  # uuid, pid, MB

    @property
    def environment(self) -> dict[str, str]:
        """What another process needs to see it."""
        return {"LD_LIBRARY_PATH": str(self.folder), "FAKE_NVML": str(self.path)}

    def write(self) -> None:
        """Show the world as it is now."""
        lines: list[tuple[object, ...]] = []
        for card in self.gpus:
            figures = (
                card.memory_gb * 1024,
                card.used_mb,
                card.utilization,
                card.temperature_c,
                card.power_w * 1000,
            )
            mig = int(bool(card.slices))
            lines.append(
                ("gpu", card.uuid, card.name, card.minor, *figures, card.throttle, card.ecc, card.error, mig)
            )
            lines += [("mig", card.uuid, uuid, name, gb * 1024, 4) for uuid, name, gb in card.slices]
        lines += [("proc", *process) for process in self.processes]
        draft = self.path.with_suffix(".new")
        draft.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))
        draft.replace(self.path)


def build(folder: Path) -> str:
    """Compile the stand-in into `folder` and load it, so that a later load by name finds it; why not, or ""."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return "there is no C compiler for the stand-in of the GPU driver"
    library = folder / "libnvidia-ml.so.1"
    command = [
        compiler,
        "-shared",
        "-fPIC",
        "-O1",
        "-Wl,-soname,libnvidia-ml.so.1",
        "-o",
        str(library),
        str(SOURCE),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    ctypes.CDLL(str(library))
    return ""
