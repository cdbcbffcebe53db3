"""`launch --headless`: one progress bar, verdicts as they come, the leaderboard at the end.

Ctrl-C ends the watching, never the lab.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from supervisor.analysis.troubles import failure, nobody_has_worked, troubles, why_nobody_works
from supervisor.client.lab_client import LabClient
from supervisor.errors import LabError
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import Event, LabSnapshot
from supervisor.model.states import CampaignState, RunState, Verdict
from tui.commands.leaderboard import print_leaderboard
from tui.commands.status import headline
from tui.views.figures import change, metric
from tui.views.printing import console, in_terminal, say
from tui.views.text import plain

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LOOK_EVERY_S = 1.0
SIGN_OF_LIFE_S = 15.0  # without a terminal, a line at least this often
DEAD_AFTER_S = 120.0  # the supervisor restarts within seconds; so long without one means that it cannot
UNABLE_AFTER_S = 60.0  # with juniors that never did a step: what they lack does not come by itself
OVER = frozenset({CampaignState.FINISHED, CampaignState.STOPPED})


class Display(Protocol):
    """Where the watching is shown."""

    def tell(self, line: str, style: str = "") -> None:
        """One line that stays."""

    def update(self, snapshot: LabSnapshot) -> None:
        """How far it is by now."""


def follow_to_the_end(client: LabClient) -> None:
    """Show progress, verdicts and troubles until the campaign is over, then its leaderboard.

    Raises LabError when nothing could be measured, or nobody could work.
    """
    try:
        with _display() as display:
            snapshot = _watch(client, display)
    except KeyboardInterrupt:
        say("")
        say(
            "the lab goes on; `autoresearch-tui launch --headless` watches again, "
            "`autoresearch-tui stop` stops it"
        )
        raise
    if why := failure(snapshot):
        raise LabError(plain(why))
    say("")
    print_leaderboard(snapshot)
    say("")
    say(headline(snapshot), style="bold")


def _watch(client: LabClient, display: Display) -> LabSnapshot:
    told_ids: set[str] | None = None
    alive_at = able_at = time.monotonic()
    told_troubles: dict[str, str] = {}
    while True:
        snapshot = client.snapshot()
        now = time.monotonic()
        decided = {one.id: one for one in snapshot.experiments if one.verdict is not None}
        if told_ids is None:
            told_ids = set(decided)  # what was decided before this watching began is in the leaderboard
            display.tell(headline(snapshot), "bold")
        for experiment_id in sorted(decided.keys() - told_ids):
            display.tell(*verdict_line(decided[experiment_id]))
        told_ids |= decided.keys()
        for name, trouble in troubles(snapshot).items():
            if told_troubles.get(name) != trouble:
                display.tell(plain(f"trouble {name}: {trouble}"), "yellow")
            told_troubles[name] = trouble
        display.update(snapshot)
        if snapshot.campaign is None or snapshot.campaign.state in OVER:
            return snapshot
        if not nobody_has_worked(snapshot, told_troubles):
            able_at = now
        elif now - able_at > UNABLE_AFTER_S and (why := why_nobody_works(snapshot)):
            client.stop(())
            raise LabError(plain(f"{why}; the run is stopped, `autoresearch-tui launch` resumes it"))
        if snapshot.supervisor_alive:
            alive_at = now
        elif now - alive_at > DEAD_AFTER_S:
            raise LabError("the supervisor does not come up; `autoresearch-tui attach supervisor` shows why")
        client.wait_for_change(LOOK_EVERY_S)


def verdict_line(one: Experiment) -> tuple[str, str]:
    """A verdict in one line, and its style."""
    assert one.verdict is not None
    figure = metric(one.metric) if one.metric is not None else ""
    gain = f"({change(one.gain)})" if one.gain is not None else ""
    why = one.reason if one.verdict not in (Verdict.KEEP, Verdict.BASELINE) else ""
    parts = (f"{one.verdict.value:<8}", one.id, figure, gain, one.agent, one.title, f"· {why}" if why else "")
    styles = {Verdict.KEEP: "green", Verdict.BASELINE: "bold", Verdict.DISCARD: "dim"}
    return plain(" ".join(part for part in parts if part)), styles.get(one.verdict, "yellow")


def fraction_done(snapshot: LabSnapshot) -> float | None:
    """How far the campaign is towards the nearest of its limits, 0 to 1; None without a limit."""
    campaign = snapshot.campaign
    if campaign is None:
        return None
    limits, shares = campaign.limits, []
    if limits.experiments:
        shares.append((snapshot.counted + 0.9 * _partly_done(snapshot)) / limits.experiments)
    if limits.hours:
        shares.append(campaign.running_s / 3600 / limits.hours)
    if limits.usd:
        shares.append(sum(agent.cost_usd for agent in snapshot.agents) / limits.usd)
    return min(1.0, max(shares)) if shares else None


class Furthest:
    """How far it ever was: a candidate that needs another seed is no step back for who watches."""

    def __init__(self) -> None:
        self._done: float | None = None

    def of(self, snapshot: LabSnapshot) -> float | None:
        """As `fraction_done`, and never less than before."""
        done = fraction_done(snapshot)
        if done is not None:
            self._done = max(done, self._done or 0.0)
        return self._done


def _partly_done(snapshot: LabSnapshot) -> float:
    """Training runs under way, in parts of an experiment: so that the bar moves between verdicts."""
    return sum(
        run.progress.fraction / max(1, len(one.runs))
        for one in snapshot.experiments
        if one.verdict is None and one.agent
        for run in one.runs
        if run.state is RunState.RUNNING and run.progress is not None
    )


def now_line(snapshot: LabSnapshot) -> str:
    """What is going on, short enough to stand beside a bar."""
    running = [
        f"{run.device or '?'} {run.id} {run.progress.fraction:.0%}"
        if run.progress
        else f"{run.device or '?'} {run.id}"
        for one in snapshot.experiments
        for run in one.runs
        if run.state is RunState.RUNNING
    ]
    campaign = snapshot.campaign
    total = f"/{campaign.limits.experiments}" if campaign and campaign.limits.experiments else ""
    state = "" if campaign is None or campaign.state is CampaignState.RUNNING else f" {campaign.state.value}"
    latest: Event | None = snapshot.events[-1] if snapshot.events else None
    doing = ", ".join(running) or (plain(latest.text) if latest else "starting")
    return f"{snapshot.counted}{total} verdicts, {snapshot.kept} kept{state} · {doing}"


@contextmanager
def _display() -> Iterator[Display]:
    if not in_terminal():
        yield _LogLines()
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(bar_width=24), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn())
    now = TextColumn("{task.description}", markup=False)
    with Progress(*columns, now, console=console(), refresh_per_second=4) as progress:
        yield _Bar(progress, progress.add_task("starting", total=None))


class _Bar:
    """A progress bar with the verdicts above it."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task
        self._furthest = Furthest()

    def tell(self, line: str, style: str = "") -> None:
        # One line each; `experiments ID` has the whole reason.
        self._progress.console.print(line, style=style or None, no_wrap=True, overflow="ellipsis")

    def update(self, snapshot: LabSnapshot) -> None:
        done = self._furthest.of(snapshot)
        total = None if done is None else 1.0
        self._progress.update(self._task, total=total, completed=done or 0.0, description=now_line(snapshot))


class _LogLines:
    """Plain lines, for logs: each verdict, and a sign of life in between."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._furthest = Furthest()

    def tell(self, line: str, style: str = "") -> None:  # noqa: ARG002 (a log has no colours)
        self._print(line)

    def update(self, snapshot: LabSnapshot) -> None:
        done = self._furthest.of(snapshot)
        if time.monotonic() - self._last >= SIGN_OF_LIFE_S:
            self._print((f"{done:4.0%} " if done is not None else "") + now_line(snapshot))

    def _print(self, line: str) -> None:
        print(line)
        sys.stdout.flush()
        self._last = time.monotonic()
