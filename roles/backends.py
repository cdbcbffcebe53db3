"""Which backends there are."""

from __future__ import annotations

from roles.backend import Backend, BackendError
from supervisor.errors import LabError

KNOWN = ("offline",)


def make_backend(name: str) -> Backend:
    """The backend of that name. Raises BackendError for an unknown one."""
    match name:
        case "offline":
            from roles.offline.backend import OfflineBackend

            return OfflineBackend()
        case _:
            raise BackendError(f"there is no backend {name!r}; there are: {', '.join(KNOWN)}")


def expect_backends(*names: str) -> None:
    """Raises LabError when one of these is no backend: better now than in an agent's pane."""
    unknown = [name for name in names if name not in KNOWN]
    if unknown:
        raise LabError(f"there is no backend {unknown[0]!r}; there are: {', '.join(KNOWN)}")
