"""The unchanged code, measured while the person watches: its output as it comes, then the number and its noise."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from supervisor.init.lab_toml import config_of
from supervisor.init.trial_run import RUNS, Measured, Spread, Tell, Trial, trial
from supervisor.recognition.finding import Finding
from tui.views.printing import console, in_terminal, say
from tui.views.text import plain, shorten

if TYPE_CHECKING:
    from pathlib import Path

    from rich.text import Text

_TAIL_LINES = 6


def measure(
    root: Path, base: str, finding: Finding, learn: Callable[[Finding, Measured], Finding]
) -> tuple[Finding, list[Measured]]:
    """The finding with what the first run taught, and runs of the unchanged code; one that gives no number is the last.

    Raises LabError when it can't be tried at all.
    """
    runs = list[Measured]()
    with trial(root, base, config_of(finding)) as lab:
        if lab.needs_set_up:
            with _live_output("set-up", None) as tell:
                lab.prepare(tell)
        while len(runs) < RUNS:
            began, title = time.monotonic(), f"run {len(runs) + 1} of {RUNS}"
            with _live_output(f"{title}: {plain(finding.command)}", finding.timeout_s) as tell:
                runs.append(lab.run(finding.metric, finding.pattern, tell))
            took_s = time.monotonic() - began
            if len(runs) == 1:
                finding = learn(finding, runs[0])
            value = runs[-1].value_of(finding.metric, finding.pattern) if finding.metric else None
            if value is None:
                break
            say(f"{title}: {finding.metric} {value:.6g} in {took_s:.1f} s", style="dim")
        values = [run.value_of(finding.metric, finding.pattern) for run in runs] if finding.metric else []
        measured = [value for value in values if value is not None]
        if len(measured) == RUNS:
            _say_canary(lab, finding, measured)
    return finding, runs


def _say_canary(lab: Trial, finding: Finding, values: list[float]) -> None:
    """Say when what may be edited is not what the command runs; `launch` refuses such a lab."""
    files = ", ".join(plain(path) for path in finding.editable)
    with _live_output(f"canary: {files} broken on purpose", finding.timeout_s) as tell:
        why = lab.canary(finding, values, tell)
    if why:
        say(f"warning: {plain(why)}", style="bold red")
    else:
        say(
            f"canary: with {files} broken on purpose the command fails, or measures something else",
            style="dim",
        )


def say_spread(spread: Spread, metric: str) -> None:
    """What the code measures as it stands, and how much of a gain would be noise."""
    values = ", ".join(f"{value:.6g}" for value in spread.values)
    say(f"{metric}: {values}")
    if spread.runs < 2:
        return
    relative = f", {100 * spread.relative:.2g} %" if spread.relative is not None else ""
    say(f"mean {spread.mean:.6g}, SD {spread.sd:.2g}{relative} over {spread.runs} runs")
    if spread.sd:
        say(f"this is your noise: gains below {spread.sd:.2g} cannot be told from it in one run")
    else:
        say("the same every time: no noise here, so every difference counts")


def why_no_number(run: Measured) -> str:
    """One line on a run that gave none."""
    last = [line for line in run.tail.splitlines() if line.strip()][-1:]
    output = f"; its last line: {plain(last[0])[:200]}" if last else "; it printed nothing"
    return f"{run.outcome.reason or 'it printed no number'}{output}"


def _nobody(_: str) -> None:
    """Where nobody watches, the log has it all."""


@contextmanager
def _live_output(title: str, timeout_s: float | None) -> Iterator[Tell]:
    """The end of the output, live, with the time that has passed; nothing but the title without a terminal."""
    if not in_terminal():
        say(title)
        yield _nobody
        return
    from rich.live import Live
    from rich.text import Text

    began, tail = time.monotonic(), deque[str](maxlen=_TAIL_LINES)

    def picture() -> Text:
        limit = f" of {timeout_s:g}" if timeout_s else ""
        width = console().width - 4
        head = shorten(f"{title}  {time.monotonic() - began:.0f}{limit} s", width)
        return Text("\n".join((head, *(f"  │ {shorten(line, width - 4)}" for line in tail))), style="dim")

    def tell(line: str) -> None:
        tail.append(plain(line))

    with Live(get_renderable=picture, console=console(), refresh_per_second=8, transient=True):
        yield tell
