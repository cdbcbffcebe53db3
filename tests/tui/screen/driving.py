"""Driving the app in a test: wait for what is on the screen, never for time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from textual.pilot import Pilot

from supervisor.model.snapshot import LabSnapshot
from tests.tui.screen import snapshots
from tests.tui.screen.memory_client import MemoryClient
from tui.screen.app import LabApp

DEADLINE_S = 30.0
POLL_S = 0.005


class Driver:
    """The app on a lab in memory."""

    def __init__(self, app: LabApp, port: MemoryClient, pilot: Pilot[None]) -> None:
        self.app, self.port, self.pilot = app, port, pilot

    @property
    def lines(self) -> list[str]:
        """The screen's lines as a person sees them."""
        return [strip.text for strip in self.app.screen._compositor.render_strips(self.app.size)]

    @property
    def text(self) -> str:
        """The whole screen."""
        return "\n".join(self.lines)

    @property
    def footer(self) -> str:
        """The last line."""
        return self.lines[-1]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for the condition; says what was on the screen when it never came."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not condition():
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError(f"never came; the screen:\n{self.text}") from None

    async def shows(self, text: str) -> None:
        """Wait until the text is on the screen."""
        await self.until(lambda: text in self.text)

    async def hides(self, text: str) -> None:
        """Wait until the text is not on the screen."""
        await self.until(lambda: text not in self.text)

    async def asks(self, *request: object) -> None:
        """Wait until the lab was asked for this."""
        await self.until(lambda: request in self.port.requests)

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        await self.pilot.press(*keys)

    def change(self, lab: LabSnapshot) -> None:
        """The lab changes under the screen."""
        self.port.change(lab)


@asynccontextmanager
async def driving(
    lab: LabSnapshot, columns: int = 160, rows: int = 45, **port: object
) -> AsyncIterator[Driver]:
    """The app at that size, with the first snapshot shown."""
    memory = MemoryClient(lab, **port)  # type: ignore[arg-type]
    app = LabApp(memory, now=lambda: snapshots.NOW)
    async with app.run_test(size=(columns, rows), notifications=True) as pilot:
        driver = Driver(app, memory, pilot)
        await driver.until(lambda: app.snapshot is not None or bool(app.problem))
        await driver.until(lambda: bool(app.screen.query("#filter")))
        await pilot.pause()
        yield driver
