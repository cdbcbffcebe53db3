"""Options that many commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from supervisor.client.lab_client import LabClient
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
    """Add `--lab` and `--state-dir`, and pass a client of the lab that they choose as `client`."""

    @lab_flags
    @functools.wraps(function)
    def with_client(*, lab_dir: str | None, state_dir: str | None, **options: Any) -> Any:
        return function(client=client_of(lab_dir, state_dir), **options)

    return with_client


def client_of(lab_dir: str | None, state_dir: str | None) -> LabClient:
    """A client of the lab that the flags of this command, or of the one above it, choose. Raises LabError."""
    from supervisor.client.lab_client import LabClient

    above = click.get_current_context().parent
    return LabClient(
        chosen_lab(lab_dir or _value_above(above, "lab_dir"), state_dir or _value_above(above, "state_dir"))
    )


def _value_above(above: click.Context | None, name: str) -> str | None:
    while above is not None:
        if above.params.get(name):
            return str(above.params[name])
        above = above.parent
    return None
