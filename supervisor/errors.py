"""What can go wrong with a lab. Every text is one line for the person: what failed, and what to do next.

LabError
├── NotALab            there is no lab here
├── ConfigError        autoresearch.toml does not say something usable
├── StateError         the state folder cannot be made or used
├── StoreError         the database cannot be opened, read or written
└── LaunchError        the lab cannot be started
"""


class LabError(Exception):
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
