"""The actions that change what the person looks at, and nothing in the lab."""

from __future__ import annotations

import time
from typing import Any

from textual import on
from textual.reactive import reactive
from textual.screen import Screen
from textual.widgets import Input

from supervisor.model.experiment import Experiment
from tui.screen.messages import LeaveRequested
from tui.screen.panels.agents import AgentsPanel
from tui.screen.panels.leaderboard import Leaderboard
from tui.screen.panels.tabs import Tab, Tabs
from tui.screen.widgets.lines import Movable
from tui.screen.widgets.table import Table

_BOTH_WITHIN_S = 1.0


class Moves(Screen[None]):
    """What of the lab's screen moves about in it."""

    experiment_id: reactive[str | None] = reactive(None)  # the one that was selected last
    came_from: Tab | None = None  # where `Esc` leads back to
    _first_g_at = 0.0

    @property
    def tabs(self) -> Tabs:
        """The tabs."""
        return self.query_one(Tabs)

    @property
    def table(self) -> Table[Any] | None:
        """The table that has the focus, or whose filter has."""
        target = self.tabs.target
        in_focus = self.focused is target or (self.focused is not None and self.focused.id == "filter")
        return target if in_focus and isinstance(target, Table) else None

    @property
    def focused_experiment(self) -> Experiment | None:
        """What `d` and `l` speak of."""
        raise NotImplementedError

    def offer(self) -> None:
        """Other commands may work now."""
        raise NotImplementedError

    def action_down(self) -> None:
        """See the table of commands; so for all actions here."""
        self._move(1)

    def action_up(self) -> None:
        """One line up."""
        self._move(-1)

    def action_page_down(self) -> None:
        """One page down."""
        if isinstance(self.focused, Movable):
            self.focused.move(self.focused.page)

    def action_page_up(self) -> None:
        """One page up."""
        if isinstance(self.focused, Movable):
            self.focused.move(-self.focused.page)

    def action_top(self) -> None:
        """To the top."""
        if isinstance(self.focused, Movable):
            self.focused.move_to_end(False)

    def action_bottom(self) -> None:
        """To the bottom."""
        if isinstance(self.focused, Movable):
            self.focused.move_to_end(True)

    def action_half_top(self) -> None:
        """The second g of gg goes to the top."""
        now = time.monotonic()
        if now - self._first_g_at < _BOTH_WITHIN_S:
            self._first_g_at = 0.0
            self.action_top()
        else:
            self._first_g_at = now

    def action_next_panel(self) -> None:
        """To the next panel."""
        self.focus_next()

    def action_previous_panel(self) -> None:
        """To the panel before."""
        self.focus_previous()

    async def action_tab(self, key: str) -> None:
        """Show a tab, and go there."""
        await self.show_tab(list(Tab)[int(key) - 1])

    async def action_next_tab(self) -> None:
        """The tab after."""
        await self._step(1)

    async def action_previous_tab(self) -> None:
        """The tab before."""
        await self._step(-1)

    async def action_open(self) -> None:
        """Show the experiment."""
        await self._show_experiment(Tab.DIFF)

    async def action_diff(self) -> None:
        """Show the experiment."""
        await self._show_experiment(Tab.DIFF)

    async def action_log(self) -> None:
        """Show its output."""
        await self._show_experiment(Tab.LOG)

    async def action_back(self) -> None:
        """Clear the filter, or go back: to where `d` or `l` was pressed, or to the list of agents."""
        table = self.table
        if table is not None and (table.filter_text or self.query("#filter:focus")):
            self._filter.value = ""
            self._close_filter()
        elif self.came_from is not None:
            await self.show_tab(self.came_from)
        else:
            self.remove_class("-reading")
            self.set_focus(self.query_one(AgentsPanel))
        self.offer()

    def action_sort(self) -> None:
        """The next order."""
        if isinstance(self.table, Leaderboard):
            self.tabs.border_subtitle = f"sorted by {self.table.sort()}"

    def action_filter(self) -> None:
        """Ask for the text."""
        if self.table is not None and self.query("#filter"):
            self._filter.value = self.table.filter_text
            self._filter.add_class("-shown")
            self.set_focus(self._filter)

    def action_next_waiting(self) -> None:
        """To the next agent that waits."""
        agents = self.query_one(AgentsPanel)
        agents.next_waiting()
        self.remove_class("-reading")
        self.set_focus(agents)

    def action_palette(self) -> None:
        """Commands by name."""
        self.app.action_command_palette()

    def action_help(self) -> None:
        """All keys."""
        from tui.screen.panels.help import Help

        self.app.push_screen(Help())

    def action_quit(self) -> None:
        """Close the screen."""
        self.post_message(LeaveRequested())

    async def show_tab(self, tab: Tab, came_from: Tab | None = None) -> None:
        """Show a tab and put the focus there."""
        self.came_from = came_from
        self.add_class("-reading")
        self.set_class(tab is Tab.PROGRESS, "-plotting")
        self._close_filter()
        await self.tabs.show(tab)
        self.set_focus(self.tabs.target)
        self.offer()

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.table is not None:
            self.table.filter_text = event.value

    @on(Input.Submitted, "#filter")
    def _filter_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._close_filter()
        self.offer()

    @property
    def _filter(self) -> Input:
        return self.query_one("#filter", Input)

    def _close_filter(self) -> None:
        for shown in self.query("#filter.-shown"):  # a key may come before the line is mounted
            shown.remove_class("-shown")
            self.set_focus(self.tabs.target)

    def _move(self, lines: int) -> None:
        if isinstance(self.focused, Movable):
            self.focused.move(lines)

    async def _step(self, by: int) -> None:
        tabs = list(Tab)
        await self.show_tab(tabs[(tabs.index(self.tabs.tab) + by) % len(tabs)])

    async def _show_experiment(self, tab: Tab) -> None:
        if experiment := self.focused_experiment:
            self.experiment_id = experiment.id
            before = self.tabs.tab
            came_from = before if before not in (Tab.DIFF, Tab.LOG) else self.came_from
            await self.show_tab(tab, came_from)
