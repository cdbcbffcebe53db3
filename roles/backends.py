"""Which backends there are."""

from __future__ import annotations

from collections.abc import Callable

from roles.backend import Backend, BackendError, Office
from supervisor.errors import LabError


def _offline(_: Office) -> Backend:
    from roles.offline.backend import OfflineBackend

    return OfflineBackend()


def _anthropic(office: Office) -> Backend:
    from roles.anthropic.backend import AnthropicBackend  # the SDK costs a second and 80 MB

    return AnthropicBackend(office)


MAKERS: dict[str, Callable[[Office], Backend]] = {"offline": _offline, "anthropic": _anthropic}


def make_backend(name: str, office: Office) -> Backend:
    """The backend of that name for one agent. Raises BackendError for an unknown one."""
    if name not in MAKERS:
        raise BackendError(f"there is no backend {name!r}; there are: {', '.join(MAKERS)}")
    return MAKERS[name](office)


def expect_backends(*names: str) -> None:
    """Raises LabError when one of these is no backend: better now than in an agent's pane."""
    unknown = [name for name in names if name not in MAKERS]
    if unknown:
        raise LabError(f"there is no backend {unknown[0]!r}; there are: {', '.join(MAKERS)}")
