"""Which backends there are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from roles.backend import Backend, BackendError, Office
from roles.clients.catalogue_files import agent_files, read_agent
from roles.clients.making import make_client
from supervisor.errors import LabError


def _offline(_: Office) -> Backend:
    from roles.offline.backend import OfflineBackend

    return OfflineBackend()


def _anthropic(office: Office) -> Backend:
    from roles.anthropic.backend import AnthropicBackend  # the SDK costs a second and 80 MB

    return AnthropicBackend(office)


MAKERS: dict[str, Callable[[Office], Backend]] = {"offline": _offline, "anthropic": _anthropic}


def known_backends(folder: Path | None = None) -> tuple[str, ...]:
    """Those of code, the clients of the catalogue, and the person's own in `folder`."""
    return tuple(dict.fromkeys((*MAKERS, *agent_files(folder))))


def make_backend(name: str, office: Office) -> Backend:
    """The backend of that name for one agent. Raises BackendError for an unknown one."""
    if name in MAKERS:
        return MAKERS[name](office)
    if name in agent_files(office.agents_folder):
        return make_client(name, office)
    raise BackendError(
        f"there is no backend {name!r}; there are: {', '.join(known_backends(office.agents_folder))}"
    )


def expect_backends(*names: str, folder: Path | None = None) -> None:
    """Raises LabError when one of these is no backend: better now than in an agent's pane."""
    known = known_backends(folder)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise LabError(f"there is no backend {unknown[0]!r}; there are: {', '.join(known)}")
    for name in names:
        if name not in MAKERS:
            read_agent(agent_files(folder)[name])
