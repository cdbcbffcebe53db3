"""The Textual app: follows the lab, hands its snapshot down, and carries requests out in threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from textual import on, work
from textual.app import App, SystemCommand, get_system_commands_provider
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.events import Resize
from textual.message import Message
from textual.reactive import reactive
from textual.screen import Screen
from textual.theme import Theme

from supervisor.client.lab_client import LabClient
from supervisor.errors import line_for_person
from supervisor.model.snapshot import LabSnapshot
from tui.screen.actions.keys import KeyCommand
from tui.screen.actions.requests import AttachRequested, Request, TextRead, TextWanted
from tui.screen.lab import LabScreen

_WAIT_S = 0.25  # quitting takes no longer than this
_LIVE_EVERY_S = 1.0  # how often training progress is looked at between two changes
_AT_MOST_EVERY_S = 0.1
_TICK_S = 1.0

# What a tone falls back to when the person picks one of Textual's own themes.
EXTRA_COLOURS = {"muted": "#8a94a3", "faint": "#454e5b", "line": "#333b47", "cursor": "#232b36"}

LAB_DARK = Theme(
    name="lab-dark",
    primary="#7fa8d4",
    secondary="#a795d0",
    accent="#7fb8c4",
    success="#93bf74",
    warning="#dcb066",
    error="#dc7a73",
    foreground="#d6dbe2",
    background="#12161c",
    surface="#171c23",
    panel="#1d232c",
    variables={
        **EXTRA_COLOURS,
        "footer-key-foreground": "#7fa8d4",
        "input-selection-background": "#7fa8d4 30%",
    },
)

LAB_LIGHT = Theme(
    name="lab-light",
    primary="#2b5f93",
    secondary="#6a4f9c",
    accent="#21707f",
    success="#3f7420",
    warning="#8f6206",
    error="#ae3a33",
    foreground="#22272e",
    background="#fbfaf7",
    surface="#f3f1ec",
    panel="#e9e6df",
    dark=False,
    variables={"muted": "#66707c", "faint": "#b4b5b3", "line": "#d2cfc7", "cursor": "#e4e8ec"},
)


@dataclass
class LabRead(Message):
    """A new snapshot is there, or the problem for which there is none: what is shown gets older."""

    snapshot: LabSnapshot | None
    problem: str = ""


class LabCommands(Provider):
    """The commands that work where the person is, keys that only move left out."""

    async def discover(self) -> Hits:
        """All of them."""
        for command in self._commands():
            yield DiscoveryHit(_title(command), partial(self._run, command))

    async def search(self, query: str) -> Hits:
        """Those that match."""
        matcher = self.matcher(query)
        for command in self._commands():
            if (score := matcher.match(_title(command))) > 0:
                yield Hit(score, matcher.highlight(_title(command)), partial(self._run, command))

    def _commands(self) -> list[KeyCommand]:
        screen = self.screen
        offered = screen.offered if isinstance(screen, LabScreen) else ()
        return [command for command in offered if command.label and command.id != "tab"]

    async def _run(self, command: KeyCommand) -> None:
        await self.screen.run_action(command.action)


def _title(command: KeyCommand) -> str:
    return f"{command.help} ({command.shown})"


class LabApp(App[None]):
    """A window on a lab; closing it stops nothing there."""

    TITLE = "autoresearch"
    CSS_PATH = "lab.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (60, "-stacked"), (100, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]  # noqa: RUF012
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {
        get_system_commands_provider,
        LabCommands,
    }

    snapshot: reactive[LabSnapshot | None] = reactive(None)
    now: reactive[float] = reactive(0.0)
    problem: reactive[str] = reactive("")

    def __init__(self, client: LabClient, now: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._client = client
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
                snapshot = self._client.snapshot()
                self.post_message(LabRead(snapshot))
                self._wait(any(device.run_id for device in snapshot.devices))
            except Exception as error:
                self.post_message(LabRead(None, line_for_person(error)))
                self._ended.wait(_LIVE_EVERY_S)

    def _wait(self, live: bool) -> None:
        """Until the lab changed, or for a moment while something trains."""
        self._ended.wait(_AT_MOST_EVERY_S)
        until = time.monotonic() + _LIVE_EVERY_S
        while not self._ended.is_set() and not self._client.wait_for_change(_WAIT_S):
            if live and time.monotonic() >= until:
                return

    def on_lab_read(self, message: LabRead) -> None:
        """The lab changed, or cannot be read."""
        self.problem = message.problem
        if message.snapshot is not None:
            self.now = self._clock()
            self.snapshot = message.snapshot

    def on_text_wanted(self, message: TextWanted) -> None:
        """Read in a thread; the answer goes to the widget that wants it."""
        self.run_worker(partial(self._read, message), thread=True, group="read")

    def _read(self, wanted: TextWanted) -> None:
        try:
            answer = TextRead(wanted.about, wanted.call(self._client))
        except Exception as error:
            answer = TextRead(wanted.about, "", line_for_person(error))
        wanted.reader.post_message(answer)

    def on_request(self, message: Request) -> None:
        """Ask the lab in a thread; the person is told what came of it."""
        self.run_worker(partial(self._carry_out, message), thread=True, group="requests")

    def _carry_out(self, request: Request) -> None:
        try:
            result = request.call(self._client)
        except Exception as error:
            self.call_from_thread(self.notify, line_for_person(error), severity="error", markup=False)
        else:
            self.call_from_thread(self._follow_up, request, result)

    def _follow_up(self, request: Request, result: object) -> None:
        if request.then is not None:
            self.push_screen(request.then(result))
        else:
            self.notify(request.line or str(result), markup=False)

    @on(AttachRequested)
    async def _show_pane(self, message: AttachRequested) -> None:
        self.run_worker(self._attach_to(message.agent), group="attach", exclusive=True)

    async def _attach_to(self, agent: str) -> None:
        """Show the pane; where it needs this terminal, nothing is drawn meanwhile."""
        try:
            if self._client.attach_takes_terminal:
                with self.batch_update(), self.suspend():
                    await asyncio.to_thread(self._client.attach, agent)
                self.refresh(layout=True)
            else:
                await asyncio.to_thread(self._client.switch_to, agent)
        except Exception as error:
            self.notify(line_for_person(error), severity="error", markup=False)

    async def action_quit(self) -> None:
        """Ctrl+q comes back from a pane; pressed once too often it must not close the screen."""
        self.notify("q closes this screen; the lab goes on")

    def action_help_quit(self) -> None:
        """Ctrl+c."""
        self.notify("q closes this screen; the lab goes on")


def run(client: LabClient) -> int:
    """Show the lab until the person quits; returns the exit code. The lab goes on."""
    app = LabApp(client)
    app.run()
    return app.return_code or 0
