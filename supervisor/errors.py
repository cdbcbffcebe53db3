"""What can go wrong with a lab. Every text is one line for the person: what failed, and what to do next.

ExpectedError              see sessions/errors.py, also for its other branch, SessionError
└── LabError
    ├── NotALab            there is no lab here
    ├── ConfigError        autoresearch.toml does not say something usable
    ├── StateError         the state folder cannot be made or used
    ├── StoreError         the database cannot be opened, read or written
    └── LaunchError        the lab cannot be started
"""

from sessions.errors import ExpectedError


def line_for_person(error: Exception) -> str:
    """The one line that a person, or a model, is told of an error. A fault of ours is raised again."""
    if isinstance(error, ExpectedError | OSError):
        return str(error)
    raise error


class LabError(ExpectedError):
    """Something about a lab failed; the text is one line for the person."""


class NotALab(LabError):  # noqa: N818 (reads as what it says)
    """There is no lab here."""


class ConfigError(LabError):
    """`autoresearch.toml` does not say something usable; the text names file, line and key."""


class StateError(LabError):
    """The state folder cannot be made or used."""


class StoreError(LabError):
    """The database cannot be opened, read or written."""


class LaunchError(LabError):
    """The lab cannot be started."""
