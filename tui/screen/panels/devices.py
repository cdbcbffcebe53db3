"""The devices: what trains where. An idle one while work is queued is worth a look."""

from __future__ import annotations

from collections.abc import Sequence

from textual.reactive import reactive

from sessions.runs.contract import RunPhase
from supervisor.model.snapshot import Device, LabSnapshot
from tui.screen.widgets.lines import Line, LinesView, Tone, prose, spread
from tui.views.figures import age, sensors, share, throttling, tokens_per_second
from tui.views.text import plain

_ID_WIDTH = 7
_SPEED_WIDTH = 11


class DevicesPanel(LinesView, can_focus=False):
    """A line per device, two for a GPU."""

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
        return [
            line
            for device in self.snapshot.devices
            for line in device_lines(device, self.snapshot, self.now, width)
        ]


def device_lines(device: Device, snapshot: LabSnapshot, now: float, width: int) -> list[Line]:
    """One line, and a second one for a GPU: its sensors, what slows it down, who else is on it."""
    below = _below(device)
    first = device_line(device, snapshot, now, width)
    return [first, spread((("  ", Tone.MUTED), *below), (), width)] if below else [first]


def _below(device: Device) -> Line:
    slowed = throttling(device.reading)
    parts: list[tuple[str, Tone]] = []
    if device.problem:
        return ()
    if device.reading is not None:
        parts.append((sensors(device.reading), Tone.MUTED))
    if slowed:
        parts.append((f"slowed by {slowed}", Tone.WARN))
    if device.neighbour and (device.run_id is not None or not device.avoided):
        parts.append((f"shared with {plain(device.neighbour)}", Tone.WARN))
    separated = [piece for part in parts for piece in ((" · ", Tone.MUTED), part)]
    return tuple(separated[1:])


def device_line(device: Device, snapshot: LabSnapshot, now: float, width: int) -> Line:
    """The device, its run, its speed and how far it is."""
    name = (f"{plain(device.id):<{_ID_WIDTH}} ", Tone.STRONG)
    since = age(now - device.since) if device.since is not None else ""
    if device.problem:
        return spread(
            (("✕ ", Tone.BAD), name, (plain(device.problem), Tone.BAD)), ((since, Tone.MUTED),), width
        )
    run = snapshot.run(device.run_id)
    if run is None and device.avoided:
        busy = (f"busy: {plain(device.neighbour)}", Tone.WARN)
        return spread((("◌ ", Tone.WARN), name, busy), ((since, Tone.MUTED),), width)
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
