"""Which backends there are."""

from __future__ import annotations

from roles.backend import Backend, BackendError

KNOWN = ("offline",)


def make_backend(name: str) -> Backend:
    """The backend of that name. Raises BackendError for an unknown one."""
    match name:
        case "offline":
            from roles.offline.backend import OfflineBackend

            return OfflineBackend()
        case _:
            raise BackendError(f"there is no backend {name!r}; there are: {', '.join(KNOWN)}")
