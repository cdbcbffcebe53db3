"""The Textual app: follows the lab, hands its snapshot down, and carries requests out in threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import ClassVar

from textual import on, work
from textual.app import App, SystemCommand, get_system_commands_provider
from textual.command import Provider
from textual.events import Resize
from textual.reactive import reactive
from textual.screen import Screen

from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import CampaignState
from tui.lab_access.port import LabPort, LabRequestError
from tui.screen.lab import LabScreen
from tui.screen.messages import (
    AttachRequested,
    LabRead,
    LabRequested,
    LabUnreadable,
    LeaveRequested,
    PromoteRequested,
    PromotionOpened,
    ReadingDone,
    ReadingWanted,
)
from tui.screen.theme import EXTRA_COLOURS, LAB_DARK, LAB_LIGHT

_WAIT_S = 0.25  # quitting takes no longer than this
_LIVE_EVERY_S = 1.0  # how often training progress is looked at between two changes
_AT_MOST_EVERY_S = 0.1
_TICK_S = 1.0


def _palette() -> type[Provider]:
    from tui.screen.palette import LabCommands

    return LabCommands


class LabApp(App[None]):
    """A window on the lab behind `port`; closing it stops nothing there."""

    TITLE = "autoresearch"
    CSS_PATH = "lab.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (60, "-stacked"), (100, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]  # noqa: RUF012
    COMMANDS: ClassVar[set[Callable[[], type[Provider]]]] = {get_system_commands_provider, _palette}  # type: ignore[assignment]

    snapshot: reactive[LabSnapshot | None] = reactive(None)
    now: reactive[float] = reactive(0.0)
    problem: reactive[str] = reactive("")

    def __init__(self, port: LabPort, now: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._port = port
        self._clock = now
        self._ended = threading.Event()
        self.set_reactive(LabApp.now, now())
        self.register_theme(LAB_DARK)
        self.register_theme(LAB_LIGHT)
        self.theme = LAB_DARK.name

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our own colours, for themes that don't have them."""
        return EXTRA_COLOURS

    def get_default_screen(self) -> Screen[None]:
        """The lab's screen."""
        with self._context():
            return LabScreen().data_bind(LabApp.snapshot, LabApp.now, LabApp.problem)

    def get_system_commands(self, _: Screen[object]) -> Iterable[SystemCommand]:
        """What of Textual's own commands makes sense here."""
        yield SystemCommand("Colours", "Choose other colours", self.action_change_theme)
        yield SystemCommand("Picture", "Save a picture of the screen (SVG)", self.deliver_screenshot)

    def on_mount(self) -> None:
        """Follow the lab, and let ages grow."""
        self._follow()
        self.set_interval(_TICK_S, self._tick)

    def on_unmount(self) -> None:
        """Let the thread that follows end."""
        self._ended.set()

    def _tick(self) -> None:
        self.now = self._clock()
        # On a loaded machine Textual 8.2 may let a stale resize of a screen replace the terminal's.
        if self.screen.outer_size != self.size:
            self.screen.post_message(Resize(self.size, self.size))

    @work(thread=True, group="follow")
    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                snapshot = self._port.snapshot()
                self.post_message(LabRead(snapshot))
                self._wait(any(device.run_id for device in snapshot.devices))
            except LabRequestError as error:
                self.post_message(LabUnreadable(str(error)))
                self._ended.wait(_LIVE_EVERY_S)

    def _wait(self, live: bool) -> None:
        """Until the lab changed, or for a moment while something trains."""
        self._ended.wait(_AT_MOST_EVERY_S)
        until = time.monotonic() + _LIVE_EVERY_S
        while not self._ended.is_set() and not self._port.wait_for_change(_WAIT_S):
            if live and time.monotonic() >= until:
                return

    def on_lab_read(self, message: LabRead) -> None:
        """The lab changed."""
        self.problem = ""
        self.now = self._clock()
        self.snapshot = message.snapshot

    def on_lab_unreadable(self, message: LabUnreadable) -> None:
        """What is shown gets older, and says so."""
        self.problem = message.reason

    def on_reading_wanted(self, message: ReadingWanted) -> None:
        """Read in a thread; the answer goes to the widget that wants it."""
        self.run_worker(partial(self._read, message), thread=True, group="read")

    def _read(self, message: ReadingWanted) -> None:
        try:
            done = ReadingDone(message.reading, message.reading.read(self._port))
        except LabRequestError as error:
            done = ReadingDone(message.reading, "", str(error))
        message.reader.post_message(done)

    @on(LabRequested)
    def _ask_the_lab(self, message: LabRequested) -> None:
        self.run_worker(partial(self._carry_out, message), thread=True, group="requests")

    def _carry_out(self, message: LabRequested) -> None:
        try:
            said, severity = message.carry_out(self._port), "information"
        except LabRequestError as error:
            said, severity = str(error), "error"
        self.call_from_thread(self.notify, said, severity=severity, markup=False)

    @on(PromoteRequested)
    def _promote(self, message: PromoteRequested) -> None:
        self.run_worker(partial(self._begin_promotion, message.names), thread=True, group="requests")

    def _begin_promotion(self, names: tuple[str, ...]) -> None:
        try:
            number = self._port.promote(names)
        except LabRequestError as error:
            self.call_from_thread(self.notify, str(error), severity="error", markup=False)
        else:
            self.post_message(PromotionOpened(number))

    def on_promotion_opened(self, message: PromotionOpened) -> None:
        """Show how it is measured, then the evidence, and take the answer."""
        from tui.screen.panels.promotion import PromotionScreen

        with self._context():
            self.push_screen(PromotionScreen(message.number).data_bind(LabApp.snapshot))

    @on(AttachRequested)
    async def _show_pane(self, message: AttachRequested) -> None:
        self.run_worker(self._attached(message.agent), group="attach", exclusive=True)

    async def _attached(self, agent: str) -> None:
        """Show the pane; where it needs this terminal, nothing is drawn meanwhile."""
        try:
            if await asyncio.to_thread(lambda: self._port.attach_takes_terminal):
                with self.batch_update(), self.suspend():
                    await asyncio.to_thread(self._port.attach, agent)
                self.refresh(layout=True)
            else:
                await asyncio.to_thread(self._port.attach, agent)
        except LabRequestError as error:
            self.notify(str(error), severity="error", markup=False)

    async def action_quit(self) -> None:
        """Ctrl+q comes back from a pane; pressed once too often it must not close the screen."""
        self.notify("q closes this screen; the lab goes on")

    def action_help_quit(self) -> None:
        """Ctrl+c."""
        self.notify("q closes this screen; the lab goes on")

    @on(LeaveRequested)
    def _leave(self) -> None:
        """Close the screen and say what goes on."""
        self.exit(message=farewell(self.snapshot))


def farewell(snapshot: LabSnapshot | None) -> str:
    """What the person reads after the screen has closed."""
    if snapshot is None or snapshot.campaign is None:
        return "Nothing has been launched here yet: autoresearch-tui launch"
    if snapshot.campaign.state is CampaignState.RUNNING:
        return "The lab goes on. autoresearch-tui comes back to it, autoresearch-tui stop ends it."
    return f"The run is {snapshot.campaign.state}. autoresearch-tui launch resumes it."


def run(port: LabPort) -> int:
    """Show the lab behind `port` until the person quits; returns the exit code. The lab goes on."""
    app = LabApp(port)
    app.run()
    return app.return_code or 0
