"""The lab's screen: lays the panels out, knows what is selected, and gives every key its meaning."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.markup import escape
from textual.reactive import reactive
from textual.screen import Screen
from textual.widgets import Input

from sessions.errors import ExpectedError
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import Agent, Hypothesis, LabSnapshot
from supervisor.model.states import CampaignState
from tui.screen.actions.dialogs import MovableScreen
from tui.screen.actions.footer import Footer
from tui.screen.actions.keys import COMMANDS, KeyCommand, bindings
from tui.screen.context import Context, offered_commands
from tui.screen.panels.agent_lines import current_experiment
from tui.screen.panels.agents import AgentsPanel
from tui.screen.panels.devices import DevicesPanel
from tui.screen.panels.header import Header
from tui.screen.panels.leaderboard import Leaderboard
from tui.screen.panels.tabs import Tab, Tabs
from tui.screen.verbs import VERBS
from tui.screen.widgets.lines import Movable
from tui.screen.widgets.listing import Listing
from tui.screen.widgets.table import Table
from tui.views.text import plain

_GG_WITHIN_S = 1.0
_COMMANDS = {command.action: command for command in COMMANDS}


class LabScreen(MovableScreen):
    """All panels. What is selected is the screen's own; what the lab knows comes with the snapshot."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(COMMANDS), Binding("g", "half_top", show=False)]
    AUTO_FOCUS = "#agents"

    snapshot: reactive[LabSnapshot | None] = reactive(None)
    now: reactive[float] = reactive(0.0)
    problem: reactive[str] = reactive("")
    agent_name: reactive[str | None] = reactive(None)
    # The one that was selected last.
    experiment_id: reactive[str | None] = reactive(None)
    offered: reactive[tuple[KeyCommand, ...]] = reactive(())
    # Where `Esc` leads back to.
    came_from: Tab | None = None
    _first_g_at = 0.0

    def compose(self) -> ComposeResult:
        """What the first frame needs; tabs and plot come when they are looked at."""
        cls = LabScreen
        yield Header().data_bind(cls.snapshot, cls.now, cls.problem)
        with Container(id="body"):
            with Container(id="left"):
                yield AgentsPanel(id="agents").data_bind(cls.snapshot, cls.now)
                yield DevicesPanel(id="devices").data_bind(cls.snapshot, cls.now)
            with Container(id="right"):
                yield Tabs(id="tabs").data_bind(cls.snapshot, cls.now, cls.agent_name, cls.experiment_id)
        yield Footer().data_bind(cls.offered)

    def on_mount(self) -> None:
        """What the first frame does not need comes after it."""
        self.watch(self, "focused", self.offer)
        self.call_after_refresh(self._mount_rest)

    def _mount_rest(self) -> None:
        from tui.screen.panels.pane import PaneView
        from tui.screen.panels.progress import ProgressPlot

        plot = ProgressPlot(id="plot")
        plot.can_focus = False
        plot.border_title = "Progress"
        preview = PaneView(id="preview")
        preview.can_focus = False
        with self._context():
            self.query_one("#left").mount(preview.data_bind(LabScreen.agent_name), before="#devices")
            self.query_one("#right").mount(plot.data_bind(LabScreen.snapshot))
        self.mount(Input(id="filter", placeholder="only rows that contain …", compact=True))

    # What is selected

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
    def focused_agent(self) -> Agent | None:
        """The agent under the cursor, when the focus is on it or on its pane."""
        on_agent = isinstance(self.focused, AgentsPanel) or (self.tabs.tab is Tab.PANE and self._in_tabs)
        return (
            self.snapshot.agent(self.agent_name) if on_agent and self.snapshot and self.agent_name else None
        )

    @property
    def focused_experiment(self) -> Experiment | None:
        """What `d` and `l` speak of: the agent's own experiment, or the one that was selected last."""
        if self.snapshot is None:
            return None
        if agent := self.focused_agent:
            return current_experiment(self.snapshot, agent.name)
        return self.snapshot.experiment(self.experiment_id)

    @property
    def focused_hypothesis(self) -> Hypothesis | None:
        """The hypothesis under the cursor, when the focus is on it."""
        row = self.table.row_under_cursor() if self.table else None
        return row if isinstance(row, Hypothesis) else None

    @property
    def _in_tabs(self) -> bool:
        return self.focused is not None and self.focused in self.tabs.walk_children()

    @property
    def copyable(self) -> str:
        """What `y` copies: a commit, a branch, an idea or a path."""
        if agent := self.focused_agent:
            return agent.branch or agent.name
        row = self.table.row_under_cursor() if self.table else None
        if isinstance(row, Hypothesis):
            return row.title
        if path := getattr(row, "path", None):
            return str(path)
        experiment = self.focused_experiment
        return (experiment.commit or experiment.id) if experiment and self._in_tabs else ""

    def context(self) -> Context:
        """Where the focus is and what is selected there."""
        table = self.table
        return Context(
            self.snapshot,
            agent=self.focused_agent,
            experiment=self.focused_experiment,
            row=getattr(table.row_under_cursor(), "experiment", None) if table else None,
            hypothesis=self.focused_hypothesis,
            copyable=self.copyable,
            listing=isinstance(self.focused, Movable),
            sortable=isinstance(table, Leaderboard),
            filterable=table is not None,
            way_back=bool(table and table.filter_text)
            or self.came_from is not None
            or (self.has_class("-reading") and self.has_class("-narrow")),
        )

    def watch_snapshot(self) -> None:
        """Other commands may work now."""
        self.call_after_refresh(self.offer)

    def offer(self) -> None:
        """See what works now."""
        if self.is_mounted:
            self.offered = offered_commands(self.context())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key works only where its command means something."""
        with_parameters = f"{action}({', '.join(map(repr, parameters))})" if parameters else action
        command = _COMMANDS.get(with_parameters)
        return command is None or command in offered_commands(self.context())

    def on_listing_cursor_moved(self, message: Listing.CursorMoved) -> None:
        """Another agent or experiment is selected, and other commands may work on it."""
        listing = message.listing
        if isinstance(listing, AgentsPanel):
            self.agent_name = listing.cursor
            for preview in self.query("#preview"):
                preview.border_title = escape(plain(listing.cursor or ""))
        elif isinstance(listing, Table):
            experiment = getattr(listing.row_under_cursor(), "experiment", None)
            if experiment is not None:
                self.experiment_id = experiment.id
        self.offer()

    async def on_listing_opened(self) -> None:
        """A double click does what enter does."""
        await self.run_action("ask('attach')" if self.focused_agent else "open")

    # Looking around: the actions that the table of keys names

    def action_half_top(self) -> None:
        """The second g of gg goes to the top."""
        now = time.monotonic()
        if now - self._first_g_at < _GG_WITHIN_S:
            self._first_g_at = 0.0
            self.action_move_end(False)
        else:
            self._first_g_at = now

    def action_next_panel(self) -> None:
        """To the next panel."""
        self.focus_next()

    def action_previous_panel(self) -> None:
        """To the panel before."""
        self.focus_previous()

    def action_next_waiting(self) -> None:
        """To the next agent that waits."""
        agents = self.query_one(AgentsPanel)
        agents.next_waiting()
        self.remove_class("-reading")
        self.set_focus(agents)

    async def action_tab(self, key: str) -> None:
        """Show a tab, and go there."""
        await self.show_tab(list(Tab)[int(key) - 1])

    async def action_next_tab(self) -> None:
        """The tab after."""
        await self._step_tab(1)

    async def action_previous_tab(self) -> None:
        """The tab before."""
        await self._step_tab(-1)

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

    async def show_tab(self, tab: Tab, came_from: Tab | None = None) -> None:
        """Show a tab and put the focus there."""
        self.came_from = came_from
        self.add_class("-reading")
        self.set_class(tab is Tab.PROGRESS, "-plotting")
        self._close_filter()
        await self.tabs.show(tab)
        self.set_focus(self.tabs.target)
        self.offer()

    async def _step_tab(self, by: int) -> None:
        tabs = list(Tab)
        await self.show_tab(tabs[(tabs.index(self.tabs.tab) + by) % len(tabs)])

    async def _show_experiment(self, tab: Tab) -> None:
        if experiment := self.focused_experiment:
            self.experiment_id = experiment.id
            before = self.tabs.tab
            came_from = before if before not in (Tab.DIFF, Tab.LOG) else self.came_from
            await self.show_tab(tab, came_from)

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
        for line in self.query("#filter.-shown"):  # a key may come before the line is mounted
            line.remove_class("-shown")
            self.set_focus(self.tabs.target)

    def action_copy(self) -> None:
        """To the clipboard, through the terminal (OSC 52)."""
        if text := self.copyable:
            self.app.copy_to_clipboard(text)
            self.notify(f"copied {plain(text)}", markup=False)

    def action_palette(self) -> None:
        """Commands by name."""
        self.app.action_command_palette()

    def action_help(self) -> None:
        """All keys."""
        from tui.screen.actions.help import Help

        self.app.push_screen(Help())

    def action_quit(self) -> None:
        """Close the screen and say what goes on."""
        self.app.exit(message=farewell(self.snapshot))

    def action_ask(self, verb: str) -> None:
        """Ask the lab for what this verb means here, or the person first."""
        try:
            step = VERBS[verb](self.context())
        except ExpectedError as error:
            self.notify(plain(str(error)), severity="error", markup=False)
            return
        if isinstance(step, Screen):
            self.app.push_screen(step)
        else:
            self.post_message(step)


def farewell(snapshot: LabSnapshot | None) -> str:
    """What the person reads after the screen has closed."""
    if snapshot is None or snapshot.campaign is None:
        return "Nothing has been launched here yet: autoresearch-tui launch"
    if snapshot.campaign.state is CampaignState.RUNNING:
        return "The lab goes on. autoresearch-tui comes back to it, autoresearch-tui stop ends it."
    return f"The run is {snapshot.campaign.state}. autoresearch-tui launch resumes it."
