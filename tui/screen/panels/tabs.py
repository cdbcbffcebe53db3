"""The tabs: each one is imported and mounted when it is first looked at."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol, assert_never, runtime_checkable

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from supervisor.model.snapshot import LabSnapshot
from tui.screen.panels.leaderboard import LEGEND, Leaderboard


class Tab(StrEnum):
    """In the order of their keys, from 1."""

    LEADERBOARD = "Leaderboard"
    BRANCHES = "Branches"
    PLAN = "Plan"
    NOTES = "Notes"
    PROGRESS = "Progress"
    DIFF = "Diff"
    PANE = "Pane"
    LOG = "Log"

    @property
    def key(self) -> str:
        """The key that shows it."""
        return str(list(Tab).index(self) + 1)


def _view(tab: Tab) -> Widget:
    match tab:
        case Tab.LEADERBOARD:
            return Leaderboard()
        case Tab.BRANCHES:
            from tui.screen.panels.branches import Branches

            return Branches()
        case Tab.PLAN:
            from tui.screen.panels.plan import PlanPanel

            return PlanPanel()
        case Tab.NOTES:
            from tui.screen.panels.notes import NotesPanel

            return NotesPanel()
        case Tab.PROGRESS:
            from tui.screen.panels.progress import ProgressPlot

            return ProgressPlot()
        case Tab.DIFF:
            from tui.screen.panels.experiment import ExperimentView

            return ExperimentView()
        case Tab.PANE:
            from tui.screen.panels.pane import PaneView

            return PaneView()
        case Tab.LOG:
            from tui.screen.panels.log import LogView

            return LogView()
        case _:
            assert_never(tab)


@runtime_checkable
class Redrawn(Protocol):
    """A view that draws itself anew when asked; those out of sight don't bother."""

    def rebuild(self) -> None:
        """Draw anew."""


class Tabs(Container):
    """Shows one view at a time; what the views need is bound down through here."""

    snapshot: reactive[LabSnapshot | None] = reactive(None)
    now: reactive[float] = reactive(0.0)
    agent_name: reactive[str | None] = reactive(None)
    experiment_id: reactive[str | None] = reactive(None)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._views: dict[Tab, Widget] = {}
        self.tab = Tab.LEADERBOARD

    @property
    def view(self) -> Widget:
        """What is shown now."""
        return self._views[self.tab]

    @property
    def target(self) -> Widget:
        """What the keys go to: the view, or the list in it."""
        return next((widget for widget in self.view.query("*") if widget.focusable), self.view)

    def compose(self) -> ComposeResult:
        """The first tab; the others come when they are looked at."""
        yield self._make_view(self.tab)

    def on_mount(self) -> None:
        """Name the tabs."""
        self._show_title()

    async def show(self, tab: Tab) -> None:
        """Mount the view when it is new, and show it alone."""
        if tab not in self._views:
            with self._context():
                await self.mount(self._make_view(tab))
        self.tab = tab
        for other, view in self._views.items():
            view.display = other is tab
        self._show_title()
        if isinstance(self.view, Redrawn):
            self.view.rebuild()

    def _make_view(self, tab: Tab) -> Widget:
        view = _view(tab)
        names = ("snapshot", "now", "agent_name", "experiment_id")
        self._views[tab] = view.data_bind(
            **{name: getattr(Tabs, name) for name in names if name in view._reactives}
        )
        return view

    def on_resize(self) -> None:
        """A narrow title names only the tab that is shown."""
        self._show_title()

    def _show_title(self) -> None:
        narrow = self.size.width < sum(len(tab) + 3 for tab in Tab)
        parts = []
        for tab in Tab:
            if tab is self.tab:
                name = f"[b $foreground]{tab.key + ' ' if narrow else ''}{tab}[/]"
            else:
                name = f"[$muted]{tab.key if narrow else tab}[/]"
            parts.append(f"[@click=screen.tab('{tab.key}')]{name}[/]")
        self.border_subtitle = LEGEND if self.tab is Tab.LEADERBOARD else ""
        self.border_title = Content.from_markup(" [$line]│[/] ".join(parts)).markup
