"""The embedded backend: a search, not a model, that makes real edits and learns which kinds pay."""

from roles.backends.offline.backend import OfflineBackend

__all__ = ["OfflineBackend"]
