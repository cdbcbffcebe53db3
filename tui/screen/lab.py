"""The lab's screen: lays the panels out, knows what is selected, and turns keys into messages."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.markup import escape
from textual.reactive import reactive
from textual.widgets import Input

from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import Agent, Hypothesis
from supervisor.model.states import Verdict
from tui.screen.context import Context, offered_commands
from tui.screen.keys import COMMANDS, Command
from tui.screen.messages import AgentHighlighted, CursorMoved, ExperimentHighlighted, OpenRequested
from tui.screen.navigation import Moves
from tui.screen.panels.agent_lines import current_experiment
from tui.screen.panels.agents import AgentsPanel
from tui.screen.panels.devices import DevicesPanel
from tui.screen.panels.header import Header
from tui.screen.panels.leaderboard import Leaderboard
from tui.screen.panels.tabs import Tab, Tabs
from tui.screen.requests import Requests
from tui.screen.widgets.footer import Footer
from tui.screen.widgets.lines import Movable
from tui.views.text import plain

_BY_ACTION = {command.action.partition("(")[0]: command for command in COMMANDS}


def _bindings() -> list[BindingType]:
    return [
        Binding(key, command.action.format(key=key), command.help, show=False, id=f"{command.id}.{key}")
        for command in COMMANDS
        for key in command.keys
    ]


class LabScreen(Requests, Moves):
    """All panels. What is selected is the screen's own; what the lab knows comes with the snapshot."""

    BINDINGS: ClassVar[list[BindingType]] = [*_bindings(), Binding("g", "half_top", show=False)]
    AUTO_FOCUS = "#agents"

    now: reactive[float] = reactive(0.0)
    problem: reactive[str] = reactive("")
    agent_name: reactive[str | None] = reactive(None)
    offered: reactive[tuple[Command, ...]] = reactive(())

    def compose(self) -> ComposeResult:
        """What the first frame needs; tabs and plot come when they are looked at."""
        cls = LabScreen
        yield Header().data_bind(Requests.snapshot, cls.now, cls.problem)
        with Container(id="body"):
            with Container(id="left"):
                yield AgentsPanel(id="agents").data_bind(Requests.snapshot, cls.now)
                yield DevicesPanel(id="devices").data_bind(Requests.snapshot, cls.now)
            with Container(id="right"):
                yield Tabs(id="tabs").data_bind(
                    Requests.snapshot, cls.now, cls.agent_name, Moves.experiment_id
                )
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
            self.query_one("#right").mount(plot.data_bind(Requests.snapshot))
        self.mount(Input(id="filter", placeholder="only rows that contain …", compact=True))

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
    def promotable(self) -> tuple[str, ...]:
        """The experiment under the cursor, or the agent's branch when it has kept something."""
        if agent := self.focused_agent:
            assert self.snapshot is not None
            best = self.snapshot.experiment(agent.incumbent_id)
            return (agent.name,) if best is not None and best.verdict is Verdict.KEEP else ()
        row = self.context().row
        return (row.id,) if row is not None else ()

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
        row = getattr(table.row_under_cursor(), "experiment", None) if table else None
        return Context(
            self.snapshot,
            agent=self.focused_agent,
            experiment=self.focused_experiment,
            row=row,
            hypothesis=self.focused_hypothesis,
            copyable=self.copyable,
            listing=isinstance(self.focused, Movable),
            sortable=isinstance(table, Leaderboard),
            filterable=table is not None,
            way_back=bool(table and table.filter_text)
            or self.came_from is not None
            or (self.has_class("-reading") and self.has_class("-narrow")),
        )

    def action_copy(self) -> None:
        """To the clipboard, through the terminal (OSC 52)."""
        if text := self.copyable:
            self.app.copy_to_clipboard(text)
            self.notify(f"copied {plain(text)}", markup=False)

    def watch_snapshot(self) -> None:
        """Other commands may work now."""
        self.call_after_refresh(self.offer)

    def offer(self) -> None:
        """See what works now."""
        if self.is_mounted:
            self.offered = offered_commands(self.context())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key works only where its command means something."""
        command = _BY_ACTION.get(action)
        return command is None or command in offered_commands(self.context())

    def on_agent_highlighted(self, message: AgentHighlighted) -> None:
        """Another agent is selected."""
        self.agent_name = message.name
        for preview in self.query("#preview"):
            preview.border_title = escape(plain(message.name or ""))

    def on_experiment_highlighted(self, message: ExperimentHighlighted) -> None:
        """Another experiment is selected."""
        self.experiment_id = message.experiment_id

    def on_cursor_moved(self, message: CursorMoved) -> None:
        """Other commands may work on what is selected now."""
        self.offer()

    async def on_open_requested(self, message: OpenRequested) -> None:
        """A double click does what enter does."""
        await self.run_action("attach" if self.focused_agent else "open")
