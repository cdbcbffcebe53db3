"""What of the network a confined run reaches."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from sessions.network import Network
from sessions.sandbox import own_loopback, port_relay


def with_own_loopback(argv: Sequence[str]) -> list[str]:
    """`argv` behind a loopback of its own, for use inside the run's network namespace."""
    return [*_script(own_loopback.__file__), "--", *argv]


def with_relay(argv: Sequence[str], network: Network) -> list[str]:
    """`argv` beside a relay to the machine's own servers, for use outside that namespace."""
    return [*_script(port_relay.__file__), "--", *argv] if network is Network.LOOPBACK else list(argv)


def launcher_folders() -> tuple[Path, ...]:
    """What has to be readable inside the namespace for the launchers to start."""
    return (Path(own_loopback.__file__).resolve().parent,)


def _script(path: str | None) -> list[str]:
    assert path is not None
    return [sys.executable, "-I", "-S", str(Path(path).resolve())]
