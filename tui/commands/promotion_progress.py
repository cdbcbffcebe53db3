"""Watching a promotion being measured: a bar with an estimate in a terminal, plain lines elsewhere, none for JSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from supervisor.client.lab_client import LabClient
from supervisor.model.promotion import Promotion
from supervisor.model.snapshot import LabSnapshot
from supervisor.promotion.progress import progress_of
from tui.views.printing import console, in_terminal, say
from tui.views.promotion import progress_line

SIGN_OF_LIFE_S = 15.0
Look = Callable[[LabSnapshot, Promotion], None]


def watch(client: LabClient, number: int, *, silent: bool) -> tuple[LabSnapshot, Promotion]:
    """Wait for the evidence, and show how far it is; Ctrl-C ends the watching, not the measuring."""
    try:
        with _display(silent) as look:
            return client.promotions.wait_for_evidence(number, look)
    except KeyboardInterrupt:
        say("")
        say("the measuring goes on; the same command watches it again")
        raise


@contextmanager
def _display(silent: bool) -> Iterator[Look]:
    if silent:
        yield lambda _snapshot, _promotion: None
    elif in_terminal():
        with _bar() as look:
            yield look
    else:
        yield _ProgressLines().look


@contextmanager
def _bar() -> Iterator[Look]:
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(bar_width=24), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn())
    with Bar(*columns, TextColumn("{task.description}", markup=False), console=console()) as bar:
        task = bar.add_task("preparing", total=None)

        def look(snapshot: LabSnapshot, promotion: Promotion) -> None:
            progress = progress_of(snapshot, promotion)
            total = progress.wanted or None
            bar.update(task, total=total, completed=progress.runs, description=progress_line(progress))

        yield look


class _ProgressLines:
    def __init__(self) -> None:
        self._last = float("-inf")

    def look(self, snapshot: LabSnapshot, promotion: Promotion) -> None:
        if time.monotonic() - self._last >= SIGN_OF_LIFE_S:
            self._last = time.monotonic()
            # Not among the table or the diff that a script reads.
            print(progress_line(progress_of(snapshot, promotion)), file=sys.stderr, flush=True)
