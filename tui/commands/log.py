"""`log`: what a training run printed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import click

from supervisor.client.lab_client import LabClient
from supervisor.errors import LabError
from supervisor.model.experiment import Run
from tui.commands.command_line import Command
from tui.commands.options import lab_options
from tui.views.printing import say_lines

LOOK_EVERY_S = 0.2
CHUNK_BYTES = 1 << 16


@click.command(
    cls=Command,
    examples=(
        "autoresearch-tui log e0012        its latest run",
        "autoresearch-tui log e0012.2      its second run",
        "autoresearch-tui log e0012 -f     as it comes, until the run ends",
    ),
)
@click.argument("run_id", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@lab_options
def log(client: LabClient, run_id: str, follow: bool) -> None:
    """What an experiment's training run printed."""
    run, file = client.log_of(run_id)
    if not follow:
        if not file.is_file() and not run.is_under_way:
            raise LabError(
                f"the log of {run.id} is gone: `gc` freed it; `experiments {run.experiment_id}` has the rest"
            )
        if not file.is_file():
            raise LabError(
                f"{run.id} has printed nothing yet; `autoresearch-tui log {run.id} -f` waits for it"
            )
        say_lines(file.read_bytes().decode(errors="replace"))
        return
    for text in _text_as_it_comes(client, run, file):
        say_lines(text)


def _text_as_it_comes(client: LabClient, run: Run, file: Path) -> Iterator[str]:
    """Whole lines of the log until the run has ended and all was read."""
    offset, rest = 0, b""
    while True:
        # The state first: what is written after it was read is seen in the next round.
        now = client.snapshot().run(run.id)
        over = now is None or not now.is_under_way
        while chunk := _read_from(file, offset):
            offset += len(chunk)
            whole, newline, rest = (rest + chunk).rpartition(b"\n")
            if newline:
                yield whole.decode(errors="replace")
        if over:
            break
        time.sleep(LOOK_EVERY_S)
    if rest:
        yield rest.decode(errors="replace")


def _read_from(file: Path, offset: int) -> bytes:
    try:
        with file.open("rb") as stream:
            stream.seek(offset)
            return stream.read(CHUNK_BYTES)
    except FileNotFoundError:
        return b""
