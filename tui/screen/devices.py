"""The devices: what trains where. An idle one while work is queued is worth a look."""

from __future__ import annotations

from collections.abc import Sequence

from textual.reactive import reactive

from sessions.training_runs import RunPhase
from supervisor.snapshot import Device, LabSnapshot
from tui.figures import age, share, tokens_per_second
from tui.plain import plain
from tui.screen.lines import Line, LinesView, Tone, prose, spread

_ID_WIDTH = 7
_SPEED_WIDTH = 11


class DevicesPanel(LinesView, can_focus=False):
    """One line per device."""

    snapshot: reactive[LabSnapshot | None] = reactive(None)
    now: reactive[float] = reactive(0.0)

    def on_mount(self) -> None:
        """Name the panel."""
        self.border_title = "Devices"

    def watch_snapshot(self) -> None:
        """Devices come from the snapshot."""
        self.rebuild()

    def watch_now(self) -> None:
        """Ages grow."""
        self.rebuild()

    def build(self, width: int) -> Sequence[Line]:
        """The lines."""
        if self.snapshot is None:
            return []
        if not self.snapshot.devices:
            return prose("Cores and GPUs, once a run has begun.", width, Tone.MUTED)
        return [device_line(device, self.snapshot, self.now, width) for device in self.snapshot.devices]


def device_line(device: Device, snapshot: LabSnapshot, now: float, width: int) -> Line:
    """The device, its run, its speed and how far it is."""
    name = (f"{plain(device.id):<{_ID_WIDTH}} ", Tone.STRONG)
    since = age(now - device.since) if device.since is not None else ""
    if device.problem:
        return spread(
            (("✕ ", Tone.BAD), name, (plain(device.problem), Tone.BAD)), ((since, Tone.MUTED),), width
        )
    run = snapshot.run(device.run_id)
    if run is None:
        return spread((("○ ", Tone.MUTED), name, ("free", Tone.MUTED)), ((since, Tone.MUTED),), width)
    words = (f"{run.experiment_id} {run.kind}", Tone.PLAIN)
    progress = run.progress
    if progress is None or progress.phase is not RunPhase.TRAINING:
        phase = str(progress.phase) if progress else "starting"
        return spread((("● ", Tone.GOOD), name, words), ((phase, Tone.MUTED),), width)
    speed = tokens_per_second(progress.tokens_per_s) if width > 36 else ""
    right: Line = (
        (f"{speed:>{_SPEED_WIDTH}}" if speed else "", Tone.MUTED),
        (share(progress.fraction), Tone.PLAIN),
    )
    return spread((("● ", Tone.GOOD), name, words), right, width)
