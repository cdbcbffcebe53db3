"""The command palette: the table of commands, by name."""

from __future__ import annotations

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tui.screen.keys import COMMANDS, Command
from tui.screen.lab import LabScreen


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

    def _commands(self) -> list[Command]:
        screen = self.screen
        offered = screen.offered if isinstance(screen, LabScreen) else ()
        return [command for command in offered if command.label and command.id != "tab"]

    async def _run(self, command: Command) -> None:
        await self.screen.run_action(command.action)


def _title(command: Command) -> str:
    assert command in COMMANDS
    return f"{command.help} ({command.shown})"
