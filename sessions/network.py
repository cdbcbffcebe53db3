"""What of the network a process may reach."""

from enum import StrEnum


class Network(StrEnum):
    """What a run may reach."""

    NONE = "none"  # nothing but servers that it starts itself
    LOOPBACK = "loopback"  # the servers of this machine as well, those that listen when it starts
    OPEN = "open"
