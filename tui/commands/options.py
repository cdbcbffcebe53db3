"""Options that many commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from supervisor.lab.paths import Lab

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for scripts.")


def chosen_lab(lab_dir: str | None, state_dir: str | None) -> Lab:
    """The lab that `--lab` names, else the one around the current folder. Raises LabError."""
    from supervisor.lab.paths import find_lab

    return find_lab(Path(lab_dir) if lab_dir else Path.cwd(), Path(state_dir) if state_dir else None)


def lab_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--lab` and `--state-dir` as they were said; before the command's name they count too."""
    function = click.option(
        "--state-dir", metavar="DIR", help="Where its state is, when not in its .autoresearch/."
    )(function)
    return click.option(
        "--lab", "lab_dir", metavar="DIR", help="The lab; default: around the current folder."
    )(function)


def lab_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--lab` and `--state-dir`, and pass the lab that they choose as `lab`."""

    @lab_flags
    @functools.wraps(function)
    def with_lab(*, lab_dir: str | None, state_dir: str | None, **options: Any) -> Any:
        return function(lab=lab_of_command(lab_dir, state_dir), **options)

    return with_lab


def lab_of_command(lab_dir: str | None, state_dir: str | None) -> Lab:
    """The lab that the flags of this command, or of the one above it, choose. Raises LabError."""
    above = click.get_current_context().parent
    return chosen_lab(
        lab_dir or _said_before(above, "lab_dir"), state_dir or _said_before(above, "state_dir")
    )


def _said_before(above: click.Context | None, name: str) -> str | None:
    while above is not None:
        if above.params.get(name):
            return str(above.params[name])
        above = above.parent
    return None
